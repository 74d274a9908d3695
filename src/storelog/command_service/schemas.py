"""The JSON Schemas of the Command Service's bodies, for its OpenAPI document.

The entities' schemas follow from the declarations; only those of the log are written here.
Next: command_service/api.py
"""

from typing import Any

from storelog.command_service import keys, log_entry, operations
from storelog.shop.commands import REQUESTS
from storelog.shop.events import AGGREGATE_NAME, ENTITIES, EVENT_TYPES
from storelog.shop.json_schema import request_schema, response_schema
from storelog.shop.value_schemas import ID, TIME, strict_object

_EVENT = strict_object(
    position=ID,
    eventId={"type": "string", "format": "uuid"},
    eventType={"enum": list(EVENT_TYPES)},
    aggregate={"type": "string", "pattern": f"^{AGGREGATE_NAME}$", "examples": ["product-5"]},
    version=ID,
    schemaVersion=ID,
    occurredAt=TIME,
    recordedAt=TIME,
    correlationId={"type": "string"},
    payload={"type": "object"},
)

_PAGE = strict_object(
    items={"type": "array", "items": _EVENT},
    nextAfter={"type": ["integer", "null"]},
)
SCHEMAS: dict[str, Any] = {
    **{structure.__name__: request_schema(structure) for structure in REQUESTS},
    **{kind.structure.__name__: response_schema(kind.structure) for kind in ENTITIES},
    "Events": {
        **_PAGE,
        "properties": {**_PAGE["properties"], "nextBefore": {"type": ["integer", "null"]}},
    },
    **log_entry.schemas(_EVENT),
    **keys.SCHEMAS,
    **operations.SCHEMAS,
}
