"""Upcasters: lift a payload written by an older release to the schema that the code reads.

`UPCASTERS[(event_type, version)]` turns that version into the next. The chain is checked when the
module is imported, so a hole in it stops the process at start-up and not at an old event.
Next: event_codec.py
"""

from collections.abc import Callable, Mapping
from typing import Any

from storelog.envelope import EVENT_TYPES
from storelog.errors import PoisonRecord

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]


def _without_note(payload: Payload) -> Payload:
    """ProductUpdated 2: an adjustment of stock carries `note`, the words of the request."""
    if payload.get("reason") == "StockAdjusted":
        return {"note": None, **payload}
    return payload


CURRENT_VERSION: Mapping[str, int] = {**dict.fromkeys(EVENT_TYPES, 1), "ProductUpdated": 2}
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {("ProductUpdated", 1): _without_note}


def upcast(event_type: str, schema_version: int, payload: Payload) -> Payload:
    """Return the payload in its type's current version. Raises PoisonRecord for an unknown one."""
    current = CURRENT_VERSION.get(event_type)
    if current is None:
        raise PoisonRecord(f"unknown event type {event_type!r}")
    if not 1 <= schema_version <= current:
        raise PoisonRecord(f"unknown schema version {schema_version} of {event_type}")
    for version in range(schema_version, current):
        payload = UPCASTERS[event_type, version](payload)
    return payload


def _check_chain() -> None:
    wanted = {(kind, v) for kind, top in CURRENT_VERSION.items() for v in range(1, top)}
    if set(UPCASTERS) != wanted:
        raise AssertionError(f"upcasters do not reach the current versions: {wanted}")


_check_chain()
