"""Folds the log into the totals, and compares each document of figures.

Next: verify/verify.py
"""

from collections.abc import Iterable
from typing import Any

from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.event_codec import lane_of
from storelog.projector.change import Change, OrderPayload
from storelog.projector.read_models import totals
from storelog.projector.read_models.totals import COLLECTION, Key
from storelog.projector.totals_writer import Total
from storelog.verify.report import Report, differing

Document = dict[str, Any]


class Totals:
    """What the figures must be, as of `position`; a newer document gets the newer events too."""

    def __init__(self, report: Report, lanes: int) -> None:
        self._report = report
        self._lanes = lanes
        self._entries: dict[Key, dict[str, Total]] = {}
        self._positions: dict[Key, int] = {}
        self._found: dict[str, Document] = {}
        self.repairs: dict[str, Document | None] = {}

    def fold(self, changes: Iterable[Change]) -> None:
        """Add what the changes add."""
        for change in changes:
            for delta in self._deltas(change):
                entries = self._entries.setdefault(delta.key, {})
                entries[delta.entry] = entries.get(delta.entry, Total()).plus(delta)
                self._positions[delta.key] = delta.position

    def _deltas(self, change: Change) -> Iterable[totals.Delta]:
        if not isinstance(change.payload, OrderPayload):
            return ()
        lane = lane_of(f"customer-{change.payload.customerId}", self._lanes)
        return totals.fold(change, lane)

    async def read(self, database: AsyncDatabase[Document]) -> int:
        """Read the documents; return the newest position among them."""
        async for document in database[COLLECTION].find({}):
            self._found[document["_id"]] = document
        return max((int(found["position"]) for found in self._found.values()), default=0)

    def fold_later(self, changes: Iterable[Change]) -> None:
        """Add newer changes to those documents that name them as folded in."""
        for change in changes:
            for delta in self._deltas(change):
                found = self._found.get(str(delta.key))
                if found is not None and found["position"] >= delta.position:
                    entries = self._entries.setdefault(delta.key, {})
                    entries[delta.entry] = entries.get(delta.entry, Total()).plus(delta)
                    self._positions[delta.key] = delta.position

    def compare(self) -> None:
        """Compare every document."""
        left = dict(self._found)
        for key, entries in self._entries.items():
            self._report.count(f"mongodb.{COLLECTION}")
            found = left.pop(str(key), None)
            expected = _document(key, entries, self._positions[key])
            place = ("document", "a document", None) if found is None else None
            if found is not None:
                # What was added late, after it had been a dead letter, is no part of the figures.
                place = differing(expected, {k: v for k, v in found.items() if k != "late"})
            if place is not None:
                self._report.differ(f"mongodb.{COLLECTION}", str(key), *place)
                self.repairs[str(key)] = expected
        for name, found in left.items():
            self._report.differ(f"mongodb.{COLLECTION}", name, "document", None, found["position"])
            self.repairs[name] = None


def _document(key: Key, entries: dict[str, Total], position: int) -> Document:
    return {
        "_id": str(key),
        "kind": key.kind,
        "period": key.period,
        "lane": key.lane,
        "bucket": key.bucket,
        "entries": {entry: total.fields() for entry, total in entries.items()},
        "position": Int64(position),
    }
