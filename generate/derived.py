"""What the rooms derive from the declarations and no schema says: columns, documents, histories.

A reviewer sees in its diff what a change to a declaration does. Every value is asked of the room
that derives it, none is made here.
"""

import json
from datetime import UTC, datetime
from typing import Any

from bson.json_util import CANONICAL_JSON_OPTIONS, dumps
from msgspec import Struct, structs

from storelog.client import bodies
from storelog.documents import histories
from storelog.event_codec import name_of, owner_of, read_event
from storelog.projector.fold.live_changes import live_change_of as change_of
from storelog.projector.fold.order_facts import fact_of
from storelog.read_models import history_entry
from storelog.read_models.change import EventOrigin, read_change
from storelog.read_models.listed import DOCUMENT_MODELS
from storelog.read_models.read_model import Write
from storelog.shop import columns
from storelog.shop.event_kinds import EntityKind, EventKind
from storelog.shop.events import ENTITIES, EVENTS
from storelog.shop.fields import fields_of, searched_fields_of, unique_fields_of
from storelog.shop.json_schema import payload_schema
from storelog.shop.json_values import encode_json

Json = dict[str, Any]
_DECLARED = (*(kind.structure for kind in ENTITIES), *(kind.payload for kind in EVENTS))
_ORIGIN = EventOrigin(datetime(2026, 1, 31, 12, tzinfo=UTC), "till", "c1")


def derived() -> Json:
    """Return what is derived of each entity, each event, and each type of the client."""
    return {
        "entities": {entity.name: _entity(entity) for entity in ENTITIES},
        "events": {kind.name: _event(kind) for kind in EVENTS},
        "client": {
            name: [field.encode_name for field in structs.fields(structure)]
            for name, structure in vars(bodies).items()
            if isinstance(structure, type) and issubclass(structure, _DECLARED)
        },
    }


def _entity(entity: EntityKind) -> Json:
    structure = entity.structure
    found: Json = {
        "fields": {field.json: _marks(structure, field.name) for field in fields_of(structure)},
        "collection": entity.collection,
        "travelsWith": entity.owner[0].name if entity.owner else entity.name,
        "bound": entity.bound,
        "columnsRead": columns.read_columns_of(structure),
        "columnsWritten": columns.columns_of(structure),
        "foundBy": [field.json for field in searched_fields_of(structure)],
        "unique": {f.json: f.unique.slug for f in unique_fields_of(structure) if f.unique},
        "fieldsOfHistory": list(histories.FIELDS.get(entity.name, ())),
    }
    if columns.has_lines(structure):
        line = columns.line_structure_of(structure)
        found["line"] = {
            "fields": {field.json: _marks(line, field.name) for field in fields_of(line)},
            "columnsRead": columns.read_columns_of(line),
            "columnsWritten": columns.line_columns_of(structure),
        }
    return found


def _marks(structure: type[Struct], name: str) -> list[str]:
    field = next(field for field in fields_of(structure) if field.name == name)
    null = ["or null"] if field.is_nullable else []
    return [str(field.kind), *null, *map(str, reversed(field.marks))]


def _event(kind: EventKind) -> Json:
    examples = payload_schema(kind, kind.version)["examples"]
    return {
        "entity": kind.entity.name,
        "version": kind.version,
        "members": {
            str(version): [field.json for field in kind.fields_of_version(version)]
            for version in range(1, kind.version + 1)
        },
        "begins": kind.begins,
        "ends": kind.ends,
        "sets": kind.members,
        "about": kind.about,
        "ledger": kind.ledger,
        "sales": kind.sales,
        "live": kind.live,
        "examples": [_example(kind, payload) for payload in examples],
    }


def _example(kind: EventKind, payload: Json) -> Json:
    """Return what is made of an event: what a rebuild writes of it, and the projector does."""
    raw = encode_json(payload)
    event = read_event(kind.name, kind.version, raw)
    version = 1 if kind.begins else 2
    change = read_change(7, kind.name, name_of(event), version, kind.version, raw, _ORIGIN)
    fact = fact_of(change)
    return {
        "travelsWith": owner_of(event),
        "writes": [_write(write) for model in DOCUMENT_MODELS for write in model.fold(change)],
        "history": history_entry.entry_of(change).facts,
        "live": change_of(change)[2]["change"],
        "fact": None if fact is None else [fact.sign, fact.at_ms, fact.customer, fact.lines],
    }


def _write(write: Write) -> Json:
    fields = dumps(write.fields, json_options=CANONICAL_JSON_OPTIONS)
    return {
        "document": f"{write.collection} {write.document_id}",
        "isNew": write.is_new,
        "isMark": write.is_mark,
        "sets": json.loads(fields),
    }
