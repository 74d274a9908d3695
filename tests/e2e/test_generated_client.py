"""Clients in TypeScript that a stock generator makes from both OpenAPI documents."""

import json
from pathlib import Path

from openapi_spec_validator import validate

from support.system import System
from support.tools import run_node

PROGRAM = Path(__file__).parents[1] / "typescript" / "shop.ts"


def test_a_generated_client_in_another_language_works(shop: System, tmp_path: Path) -> None:
    for name, client in (("command", shop.commands), ("query", shop.queries)):
        document = client.get("/openapi.json").json
        validate(document)
        source = tmp_path / f"{name}.json"
        source.write_text(json.dumps(document), "utf-8")
        target = str(tmp_path / name)
        run_node(
            "openapi-typescript-codegen/bin/index.js",
            f"--input={source}",
            f"--output={target}",
            "--client=fetch",
        )
    (tmp_path / "shop.ts").write_bytes(PROGRAM.read_bytes())
    options = {"strict": True, "target": "es2022", "lib": ["es2022", "dom"], "types": [],
               "module": "commonjs", "moduleResolution": "node10", "outDir": "built"}  # fmt: skip
    project = {"compilerOptions": options, "files": ["shop.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(project), "utf-8")
    run_node("typescript/bin/tsc", "--project", str(tmp_path))
    said = run_node(str(tmp_path / "built" / "shop.js"), shop.commands.url, shop.queries.url)
    assert json.loads(said) == {
        "isSame": True,
        "totalPrice": "1.70",
        "customerName": "Ann",
        "lines": [4],
        "refusal": {"status": 409, "type": "/problems/insufficient-stock"},
        "found": True,
        "hasSales": True,
    }
