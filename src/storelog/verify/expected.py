"""What the log makes of each document: verify's own fold, and what an event leaves as it was.

Kept are the products and the creation of customers and products; orders are looked up, so that
memory does not grow with them.
Next: verify/suspects.py
"""

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from bson.int64 import Int64

from storelog.read_models.change import Change
from storelog.shop.events import ORDER, id_of
from storelog.verify.fold import Fields, Write, writes_of

Key = tuple[str, int]


class Expected:
    """Folds changes, in log order, into the whole documents that they leave."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        # Sales set only some fields of a product, so the rest is kept; others are whole.
        self._products: dict[int, Fields] = {}
        self._created: dict[Key, Fields] = {}

    async def writes(self, changes: Sequence[Change]) -> list[tuple[Change, Write]]:
        """Return what the changes write, each with all fields of its document."""
        orders = await self._creations(changes)
        found: list[tuple[Change, Write]] = []
        for change in changes:
            for write in writes_of(change):
                if not write.is_mark:
                    self._complete(write, orders)
                found.append((change, write))
        return found

    def _complete(self, write: Write, orders: dict[int, Fields]) -> None:
        key = (write.collection, write.document_id)
        if write.collection == "products":
            known = self._products.get(write.document_id, {})
            write.fields = self._products[write.document_id] = {**known, **write.fields}
        elif write.collection == "orders":
            if not write.is_new and write.document_id in orders:
                write.fields["created"] = orders[write.document_id]
        elif "created" in write.fields:
            self._created[key] = write.fields["created"]
        elif key in self._created:
            write.fields["created"] = self._created[key]

    async def _creations(self, changes: Iterable[Change]) -> dict[int, Fields]:
        """Return which event made each order that is changed or deleted here."""
        changed = [
            id_of(change.event)
            for change in changes
            if change.kind.entity is ORDER and not change.kind.begins
        ]
        if not changed:
            return {}
        rows = await self._connection.fetch(
            "SELECT aggregate_id, position, recorded_at, caller, correlation_id FROM events"
            " WHERE aggregate_type = 'order' AND version = 1 AND aggregate_id = ANY ($1)",
            changed,
        )
        return {row["aggregate_id"]: _creation(row) for row in rows}


def _creation(row: Any) -> Fields:
    return {
        "position": Int64(row["position"]),
        "recordedAt": row["recorded_at"],
        "caller": row["caller"],
        "correlationId": row["correlation_id"],
    }
