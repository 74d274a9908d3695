"""`make generate`: write every file that is made from the code."""

import json
from pathlib import Path

from generate import derived, events, grafana, metrics, postman
from generate.openapi import documents
from storelog.migrations.append_batch import OF_THIS_RELEASE
from storelog.projector.databases.validators import SCHEMAS

ROOT = Path(__file__).parent.parent


def files() -> dict[str, str]:
    """Return the text of each file by its path from the top of the repository."""
    schemas = {
        **{f"{name}.schema": schema for name, schema in events.schemas().items()},
        **{f"openapi-{service}": document for service, document in documents().items()},
        "asyncapi": events.asyncapi(),
        "mongodb-validators": SCHEMAS,
        "derived": derived.derived(),
    }
    return {
        **{f"docs/schemas/{name}.json": _json(value) for name, value in schemas.items()},
        "docs/schemas/append_batch.sql": OF_THIS_RELEASE.sql,
        "docs/metrics.md": metrics.page(),
        "deploy/observability/grafana-dashboard.json": _json(grafana.dashboard()),
        "postman/storelog.postman_collection.json": _json(postman.collection()),
        "postman/storelog.postman_environment.json": _json(
            postman.environment("http://127.0.0.1:8080", "http://127.0.0.1:8081")
        ),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, text in files().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
