"""The documents of entities: what an event sets in them, and how they were at earlier positions.

Next: projector/write/batch_writer.py
"""

from collections.abc import Mapping
from typing import Any

from bson.int64 import Int64

from storelog.documents.forms import document_of, members_of, oldest_fields, types_of
from storelog.documents.histories import KEPT
from storelog.read_models.change import Change
from storelog.read_models.history_entry import entry_of
from storelog.read_models.read_model import DocumentModel, Fields, Index, Write
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import id_of


def entity_model(entity: EntityKind, *, shape: int, indexes: tuple[Index, ...]) -> DocumentModel:
    """Return the read model of an entity's documents."""

    def fold(change: Change) -> list[Write]:
        return [owned(change)] if change.kind.entity is entity else []

    return DocumentModel(
        collection=entity.collection,
        shape=shape,
        indexes=indexes,
        schema=_schema_of(entity),
        newer={},
        fold=fold,
        as_was=as_was,
    )


def _schema_of(entity: EntityKind) -> Mapping[str, Any]:
    """Return the types of an entity's own fields; none for a DBRef, which not every server takes
    for an object.
    """
    types = {"_id": "long", **types_of(entity.structure), "position": "long"}
    required = ["_id", *oldest_fields(entity.structure), "position"]
    properties = {name: {"bsonType": kind} for name, kind in types.items()}
    return {"bsonType": "object", "required": required, "properties": properties}


def as_was(found: Fields, position: int) -> Fields | None:
    """Return a document as it was, as far as it tells by itself; None before it was created.

    That is all of it for an entity that is created and deleted only. Others have a history.
    """
    if "created" not in found or found["created"]["position"] > position:
        return None
    is_deleted = found["deleted"] and found["position"] <= position
    # The deletion was the newest event, so without it the version is one less.
    version = found["version"] - (found["deleted"] and not is_deleted)
    return {**found, "deleted": is_deleted, "version": version}


def owned(change: Change) -> Write:
    """Return the write of an entity's document, by the lane that owns it: what the event sets."""
    kind = change.kind
    entries = [entry_of(change)] if kind.entity in KEPT else []
    number = Int64(id_of(change.event))
    if not kind.sets_all:
        fields = members_of(change.event, kind)
        # `bodyPosition` tells when the words of a name could change last; sales leave it alone.
        if kind.renames(change.event):
            fields["bodyPosition"] = Int64(change.position)
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
    """Return which event created or deleted a document, and which call caused it."""
    return {
        "position": Int64(change.position),
        "recordedAt": change.origin.recorded_at,
        "caller": change.origin.caller,
        "correlationId": change.origin.correlation_id,
    }
