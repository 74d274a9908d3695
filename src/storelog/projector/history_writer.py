"""Writes histories: at most one write for each bucket and batch, nothing read but at its opening.

A write applies only above the position that the bucket holds. After a crash a batch may begin
elsewhere, so a bucket may get an event again: readers take each version once.
Next: projector/writer.py
"""

from typing import Any

from bson.int64 import Int64
from pymongo import InsertOne, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog import histories
from storelog.histories import COLLECTION, FIELDS, Entry, State
from storelog.projector.change import Change
from storelog.projector.footing import Footing
from storelog.projector.read_models.history import entry_of
from storelog.projector.writer import existing
from storelog.read_side import IDS_AT_ONCE

Document = dict[str, Any]


class HistoryWriter:
    """Collects the events of a batch and flushes them."""

    def __init__(self, database: Database[Document], footing: Footing) -> None:
        self._collection = database[COLLECTION]
        self._footing = footing
        self._buckets: dict[tuple[str, int], list[Entry]] = {}

    def add(self, change: Change) -> None:
        """Collect one event; those of one thing come in the order of its versions."""
        entry = entry_of(change)
        if entry is not None:
            key = (change.aggregate, histories.bucket_of(entry.version))
            self._buckets.setdefault(key, []).append(entry)

    def flush(self) -> None:
        """Write everything. Raises PyMongoError; what was written then is written again safely."""
        if not self._buckets:
            return
        before = self._before()
        operations: list[InsertOne[Document] | UpdateOne] = []
        for key, entries in self._buckets.items():
            if histories.is_first_of_bucket(entries[0].version):
                operations.append(_insert(key, entries, before.get(key)))
            else:
                operations.append(_append(key, entries, may_make=True))
        try:
            with self._footing.step():
                self._collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            buckets = list(self._buckets.items())
            again = [_append(*buckets[i], may_make=False) for i in existing(error)]
            with self._footing.step():
                self._collection.bulk_write(again, ordered=False)
        self._buckets = {}

    def _before(self) -> dict[tuple[str, int], State | None]:
        """Return what the things were before the buckets that are opened now."""
        opened = [k for k, e in self._buckets.items() if histories.is_first_of_bucket(e[0].version)]
        earlier = self._load([(name, number - 1) for name, number in opened if number > 0])
        before: dict[tuple[str, int], State | None] = {}
        for key in sorted(opened):
            name, number = key
            if number == 0:
                before[key] = State({}, {})
                continue
            # The bucket before may itself have begun, or gone on, in this batch.
            previous = earlier.get((name, number - 1))
            state = before.get((name, number - 1))
            if previous is not None:
                state = histories.read_before(previous)
            before[key] = self._move_on(state, previous, (name, number - 1))
        return before

    def _move_on(
        self, state: State | None, stored: Document | None, key: tuple[str, int]
    ) -> State | None:
        if state is None:
            return None
        state = State(dict(state.fields), dict(state.set_by))
        entries = {e.version: e for e in histories.read_entries(stored)} if stored else {}
        entries |= {entry.version: entry for entry in self._buckets.get(key, [])}
        for version in sorted(entries):
            histories.apply(state, entries[version], FIELDS[key[0].partition("-")[0]])
        return state

    def _load(self, keys: list[tuple[str, int]]) -> dict[tuple[str, int], Document]:
        names = {f"{name}/{number}": (name, number) for name, number in keys}
        ids, found = list(names), {}
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = {"_id": {"$in": ids[start : start + IDS_AT_ONCE]}}
            with self._footing.step():
                buckets = list(self._collection.find(some))
            for bucket in buckets:
                found[names[bucket["_id"]]] = bucket
        return found


def _insert(
    key: tuple[str, int], entries: list[Entry], before: State | None
) -> InsertOne[Document]:
    document: Document = {
        "_id": f"{key[0]}/{key[1]}",
        "entries": [histories.encode_entry(entry) for entry in entries],
        "position": Int64(entries[-1].position),
    }
    if before is not None:
        document["before"] = histories.encode_state(before)
    return InsertOne(document)


def _append(key: tuple[str, int], entries: list[Entry], *, may_make: bool) -> UpdateOne:
    position = Int64(entries[-1].position)
    older = {"_id": f"{key[0]}/{key[1]}", "position": {"$not": {"$gte": position}}}
    added = {"$each": [histories.encode_entry(entry) for entry in entries]}
    change = {"$push": {"entries": added}, "$set": {"position": position}}
    return UpdateOne(older, change, upsert=may_make)
