"""The shapes that the code declares, for tests/golden: schemas, validators, columns, topics."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, cast

from generate import events
from generate.openapi import documents
from storelog.command_service import state_reader
from storelog.command_service.state import Head, State
from storelog.documents import histories
from storelog.envelope import parse_time
from storelog.event_codec import read_event
from storelog.projector.databases.validators import SCHEMAS
from storelog.read_models.change import EventOrigin, read_change
from storelog.shop.events import ENTITIES, EVENTS
from storelog.shop.json_values import encode_json
from support.golden import EVENT, ROWS
from support.golden_forms import fold

Json = dict[str, Any]


class _Statements:
    """Stands for a connection: keeps which columns of which tables are read."""

    def __init__(self) -> None:
        self.columns: dict[str, list[str]] = {}

    async def fetch(self, statement: str, *_: Any) -> list[Any]:
        found = re.match(r"SELECT (.+?) FROM (\w+)", statement)
        assert found is not None, statement
        self.columns[found[2]] = re.split(r", (?![^(]*\))", found[1])
        return []


def columns_read() -> dict[str, list[str]]:
    """Return the columns, by table, that commands are decided from."""
    statements = _Statements()
    state = State(Head())
    wanted = {entity.collection: [1] for entity in ENTITIES}
    asyncio.run(state_reader.load(cast(Any, statements), state, wanted))
    return statements.columns


def shapes() -> Iterator[Json]:
    """Yield each shape with what it is of."""
    for name, schema in events.schemas().items():
        yield {"of": f"schema {name}", "is": schema}
    yield {"of": "headers of a record", "is": events.headers()}
    for service, document in documents().items():
        for name, component in document["components"]["schemas"].items():
            yield {"of": f"component {service} {name}", "is": component}
    for collection, schema in SCHEMAS.items():
        yield {"of": f"validator {collection}", "is": schema}
    for table, columns in columns_read().items():
        yield {"of": f"columns read {table}", "is": columns}
    yield {"of": "columns written events", "is": EVENT.split()}
    for table, written in ROWS.items():
        yield {"of": f"columns written {table}", "is": written.split()}
    for kind, fields in histories.FIELDS.items():
        yield {"of": f"fields of a history {kind}", "is": list(fields)}
    for event in sorted(EVENTS, key=lambda kind: kind.name):
        yield {"of": f"live topics {event.name}", "is": list(event.live)}


def older_forms(older: Json) -> Json:
    """Return what a payload of an older schema version is read as, and what is made of it."""
    kind, version, payload = older["type"], older["schemaVersion"], older["payload"]
    origin = EventOrigin(parse_time(older["recordedAt"]), None, "old")
    change = read_change(7, kind, older["aggregate"], 3, version, payload.encode(), origin)
    forms, _, _ = fold(change)
    return {"current": encode_json(read_event(kind, version, payload.encode())).decode(), **forms}
