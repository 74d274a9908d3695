"""What was recorded in tests/golden is as the JSON Schemas say, of events and of bodies."""

import json
from collections.abc import Iterator

from jsonschema import Draft202012Validator

from generate.events import PAYLOADS
from golden.record import read_lines
from storelog.command_service.schemas import SCHEMAS as COMMAND_SCHEMAS
from storelog.query_service.http.schemas import SCHEMAS as QUERY_SCHEMAS
from storelog.shop.event_kinds import Json
from storelog.shop.events import ENTITIES, KINDS
from storelog.shop.fields import fields_of


def offences(schema: Json, value: Json, where: str) -> Iterator[str]:
    for error in Draft202012Validator(schema).iter_errors(value):
        yield f"{where}: {error.json_path} {error.message}"


def is_whole(recorded: str) -> bool:
    """Tell whether what was recorded is not only its length and its hash."""
    return recorded.startswith("{")


def recorded_payloads() -> Iterator[tuple[str, int, str]]:
    for name in ("events.jsonl", "changed-since.jsonl"):
        for line in read_lines(name):
            if "log" in line and is_whole(line["payload"]):
                yield line["log"]["event_type"], line["log"]["schema_version"], line["payload"]
    for older in read_lines("older.jsonl"):
        if older["schemaVersion"] < KINDS[older["type"]].version and "onlyOlder" not in older:
            yield older["type"], older["schemaVersion"], older["payload"]


def test_every_recorded_event_is_as_its_schema_says() -> None:
    found: list[str] = []
    seen = set()
    for name, version, payload in recorded_payloads():
        seen.add((name, version))
        found += offences(PAYLOADS[name, version], json.loads(payload), name)
    assert not found, "\n".join(found[:10])
    assert seen == PAYLOADS.keys()


def test_every_recorded_body_is_as_the_documents_say() -> None:
    first = {fields_of(e.structure)[0].json: e.structure.__name__ for e in ENTITIES}
    found: list[str] = []
    seen = set()
    for line in read_lines("commands.jsonl"):
        if line["status"] in (200, 201) and is_whole(line["body"]):
            body = json.loads(line["body"])
            name = first[next(iter(body))]
            seen.add(("command", name))
            found += offences(COMMAND_SCHEMAS[name], body, f"command {name}")
    of = {"customers": "Customer", "products": "Product", "orders": "Order", "product_sold": "Sale"}
    for line in read_lines("documents.jsonl"):
        if isinstance(line.get("body"), dict):
            name = of[line["collection"]]
            seen.add(("query", name))
            found += offences(QUERY_SCHEMAS[name], line["body"], f"query {name}")
    assert not found, "\n".join(found[:10])
    wanted = {("command", name) for name in first.values()} | {
        ("query", name) for name in of.values()
    }
    assert seen == wanted
