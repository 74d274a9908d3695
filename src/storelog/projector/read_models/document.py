"""What all read models share: one write to one document, and the types of its values.

Next: projector/read_models/orders.py
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from storelog.histories import Entry
from storelog.projector.change import Change
from storelog.read_side import decimal128

Fields = dict[str, Any]


@dataclass(slots=True)
class Write:
    """Fields to set on one document, up to and including the event at `position`.

    `is_new`: the document begins here. `is_whole`: the fields are all of it, so that it may be made
    if it is missing. `is_mark`: set beside the owner's fields by another lane, in any order.
    `entries`: what the thing's history gets.
    """

    collection: str
    document_id: int
    fields: Fields
    position: int
    is_new: bool = False
    is_whole: bool = False
    is_mark: bool = False
    entries: list[Entry] = field(default_factory=list)


def owned(
    collection: str,
    document_id: int,
    change: Change,
    fields: Fields,
    entries: Iterable[Entry] = (),
) -> Write:
    """Return the write of a whole document by the lane that owns it."""
    is_new = change.event_type.endswith("Created")
    deletion: Fields = {"deleted": change.is_deletion, "bodyPosition": Int64(change.position)}
    if change.is_deletion:
        deletion |= {"deletedAt": getattr(change.payload, "deletedAt", None)}
        deletion["removed"] = came_from(change)
    if is_new:
        deletion["created"] = came_from(change)
    return Write(
        collection,
        document_id,
        {**fields, **deletion, **placed(change)},
        change.position,
        is_new=is_new,
        is_whole=True,
        entries=list(entries),
    )


def placed(change: Change) -> Fields:
    """Return where in the log a document's newest event is."""
    return {"version": change.version, "position": Int64(change.position)}


def came_from(change: Change) -> Fields:
    """Return which event made or deleted a document, and who asked for it."""
    return {
        "position": Int64(change.position),
        "recordedAt": change.origin.recorded_at,
        "caller": change.origin.caller,
        "correlationId": change.origin.correlation_id,
    }


def money(amount: Decimal) -> Decimal128:
    """Return an exact amount as MongoDB keeps it."""
    return decimal128(str(amount))
