"""Folds the log into the documents that MongoDB must have: verify's own fold.

Products and the creation of customers are kept in memory. The creation of entities with lines, of
orders, is looked up, so that memory does not grow with them.
Next: verify/suspects.py
"""

from collections.abc import Sequence
from typing import Any

import asyncpg
from bson.int64 import Int64

from storelog.read_models.change import Change
from storelog.shop.columns import has_lines
from storelog.shop.events import ENTITIES, EVENTS, id_of
from storelog.verify.fold import ExpectedWrite, Fields, writes_of
from storelog.verify.listed_documents import Models, listed_writes

EntityKey = tuple[str, int]
# Collections in which some events set only some fields, so that the rest must be kept.
_WHOLE = frozenset(kind.entity.collection for kind in EVENTS if not kind.sets_all)
_LOOKED_UP = {each.collection: each for each in ENTITIES if has_lines(each.structure)}


class Expected:
    """Folds changes, in log order, into complete documents."""

    def __init__(self, connection: asyncpg.Connection, models: Models = ()) -> None:
        """`models`: read models that verify has no fold of its own for."""
        self._connection = connection
        self._models = models
        self._kept = _WHOLE | {model.collection for model in models}
        self._documents: dict[EntityKey, Fields] = {}
        self._created: dict[EntityKey, Fields] = {}

    async def writes(self, changes: Sequence[Change]) -> list[tuple[Change, ExpectedWrite]]:
        """Return what the changes write, each with all fields of its document."""
        creations = await self._creations(changes)
        found: list[tuple[Change, ExpectedWrite]] = []
        for change in changes:
            for write in (*writes_of(change), *listed_writes(change, self._models)):
                # Marks are compared separately, since another lane writes them.
                if not write.is_mark:
                    self._complete(write, creations)
                found.append((change, write))
        return found

    def _complete(self, write: ExpectedWrite, creations: dict[EntityKey, Fields]) -> None:
        key = (write.collection, write.document_id)
        if write.collection in self._kept:
            write.fields = self._documents[key] = {**self._documents.get(key, {}), **write.fields}
        elif write.collection in _LOOKED_UP:
            if not write.is_new and key in creations:
                write.fields["created"] = creations[key]
        elif "created" in write.fields:
            self._created[key] = write.fields["created"]
        elif key in self._created:
            write.fields["created"] = self._created[key]

    async def _creations(self, changes: Sequence[Change]) -> dict[EntityKey, Fields]:
        """Return the creation of each entity with lines that the changes change or delete."""
        found: dict[EntityKey, Fields] = {}
        for collection, entity in _LOOKED_UP.items():
            changed = [
                id_of(change.event)
                for change in changes
                if change.kind.entity is entity and not change.kind.begins
            ]
            if changed:
                rows = await self._connection.fetch(
                    "SELECT aggregate_id, position, recorded_at, caller, correlation_id FROM events"
                    " WHERE aggregate_type = $1 AND version = 1 AND aggregate_id = ANY ($2)",
                    entity.name,
                    changed,
                )
                found |= {(collection, row["aggregate_id"]): _creation(row) for row in rows}
        return found


def _creation(row: Any) -> Fields:
    return {
        "position": Int64(row["position"]),
        "recordedAt": row["recorded_at"],
        "caller": row["caller"],
        "correlationId": row["correlation_id"],
    }
