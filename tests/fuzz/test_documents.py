"""Both OpenAPI documents hold: no 5xx, nothing outside the schema, nothing let in that it forbids.

STORELOG_FUZZ_SECONDS says for how long (`make fuzz`: until Ctrl-C), STORELOG_FUZZ_SEED from where.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.front import Front
from support.system import System

pytestmark = [pytest.mark.fuzz, pytest.mark.alone]

SECONDS = os.environ.get("STORELOG_FUZZ_SECONDS", "60")
SEED = os.environ.get("STORELOG_FUZZ_SEED", "1")
CHECKS = [
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "use_after_free",
    "no_failure_of_its_own",
    "what_the_schema_allows_is_accepted",
]
MAX_SECONDS = 10 * 365 * 24 * 3600


def test_schemathesis_finds_nothing_in_either_document(shop: System, tmp_path: Path) -> None:
    seconds = MAX_SECONDS if SECONDS == "forever" else int(SECONDS)
    with Front(shop.commands, shop.queries) as front:
        document = tmp_path / "openapi.json"
        document.write_text(json.dumps(front.document), "utf-8")
        argv = [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", front.url]
        argv += ["--checks", ",".join(CHECKS), "--max-time", str(seconds), "--seed", SEED]
        argv += ["--phases", "examples,coverage,fuzzing,stateful", "--workers", "1", "--no-color"]
        argv += ["--suppress-health-check", "all", "--request-timeout", "60"]
        argv += ["--warnings", "off", "--output-sanitize", "false", "--continue-on-failure"]
        hooks = {"SCHEMATHESIS_HOOKS": "fuzz.checks", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            argv,
            cwd=tmp_path,
            env={**os.environ, **hooks},
            stdout=None if SECONDS == "forever" else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds + 120,
            check=False,
        )
        said = done.stdout or ""
        print(said[said.rfind("= SUMMARY =") :])
        print(f"{front.requests} requests, {front.busy} of them met a busy server, seed {SEED};")
        print(f"{front.found} reads of a single thing that a command had made")
        assert done.returncode == 0, said[-30_000:]
        assert front.requests > 500
        # A minute finds some 15 of them, `make fuzz` as many more as it is longer.
        assert front.found > 5
        assert front.busy < front.requests / 5
