"""What all read models share: one write to one document, and the types of its values.

Next: projector/read_models/orders.py
"""

from dataclasses import dataclass, field
from typing import Any

from bson.int64 import Int64

from storelog.documents.forms import document_of, members_of
from storelog.histories import KEPT, Entry
from storelog.projector.change import Change
from storelog.projector.read_models.history import entry_of
from storelog.shop.events import id_of

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


def owned(change: Change) -> Write:
    """Return the write of an entity's document, by the lane that owns it: what the event sets."""
    kind = change.kind
    entries = [entry_of(change)] if kind.entity in KEPT else []
    number = Int64(id_of(change.event))
    if not kind.sets_all:
        fields = members_of(change.event, kind.members, kind.entity.structure)
        return Write(
            kind.entity.collection,
            number,
            {**fields, **_placed(change)},
            change.position,
            entries=entries,
        )
    fields = document_of(change.event, kind.entity.structure)
    life: Fields = {"deleted": kind.ends, "bodyPosition": Int64(change.position)}
    if kind.ends:
        life |= {"deletedAt": getattr(change.event, "deleted_at", None)}
        life["removed"] = came_from(change)
    if kind.begins:
        life["created"] = came_from(change)
    return Write(
        kind.entity.collection,
        number,
        {**fields, **life, **_placed(change)},
        change.position,
        is_new=kind.begins,
        is_whole=True,
        entries=entries,
    )


def _placed(change: Change) -> Fields:
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
