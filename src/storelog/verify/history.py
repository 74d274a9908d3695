"""Folds the log into histories, and compares each bucket once it is full, the open ones at the end.

A bucket may hold newer events than this run has folded: those are left out of the comparison.
Next: verify/ledger.py
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog import histories
from storelog.histories import COLLECTION, FIELDS, State
from storelog.projector.change import Change
from storelog.projector.read_models.history import entry_of
from storelog.read_side import IDS_AT_ONCE
from storelog.verify.report import Report

Document = dict[str, Any]
WHERE = f"mongodb.{COLLECTION}"


@dataclass(slots=True)
class _Bucket:
    """What a bucket must hold: the state before it, and its entries by version."""

    name: str
    before: bytes | None
    entries: dict[int, bytes] = field(default_factory=dict)
    position: int = 0


@dataclass(slots=True)
class _Thing:
    state: State
    bucket: _Bucket


class Histories:
    """What the histories must be up to `position`, and `repairs` for those that are not."""

    def __init__(self, database: AsyncDatabase[Document], report: Report, position: int) -> None:
        self._collection = database[COLLECTION]
        self._report = report
        self._position = position
        self._things: dict[str, _Thing] = {}
        self._full: list[_Bucket] = []
        self._compared = 0
        self.repairs: dict[str, tuple[int | None, Document]] = {}

    async def fold(self, changes: Iterable[Change]) -> None:
        """Fold a chunk, and compare the buckets that are full."""
        for change in changes:
            entry = entry_of(change)
            if entry is None:
                continue
            name, number = change.aggregate, histories.bucket_of(entry.version)
            thing = self._things.get(name)
            label = f"{name}/{number}"
            if thing is None or thing.bucket.name != label:
                state = State({}, {}) if thing is None else thing.state
                if thing is not None:
                    self._full.append(thing.bucket)
                known = histories.is_first_of_bucket(entry.version)
                before = histories.encode_state(state) if known else None
                thing = self._things[name] = _Thing(state, _Bucket(label, before))
            histories.apply(thing.state, entry, FIELDS[name.partition("-")[0]])
            thing.bucket.entries[entry.version] = histories.encode_entry(entry)
            thing.bucket.position = entry.position
        await self._compare_full(IDS_AT_ONCE)

    async def finish(self) -> None:
        """Compare what is left, and find buckets that no event accounts for."""
        self._full += [thing.bucket for thing in self._things.values()]
        await self._compare_full(1)
        if await self._collection.count_documents({}) != self._compared:
            await self._find_strays()

    async def _compare_full(self, at_least: int) -> None:
        while len(self._full) >= at_least:
            some, self._full = self._full[:IDS_AT_ONCE], self._full[IDS_AT_ONCE:]
            cursor = self._collection.find({"_id": {"$in": [bucket.name for bucket in some]}})
            found = {document["_id"]: document async for document in cursor}
            for bucket in some:
                self._compare(bucket, found.get(bucket.name))

    def _compare(self, bucket: _Bucket, found: Document | None) -> None:
        self._report.count(WHERE)
        self._compared += 1
        expected = [bucket.entries[version] for version in sorted(bucket.entries)]
        newer: list[bytes] = []
        if found is not None:
            kept = histories.read_entries(found)
            newer = [histories.encode_entry(e) for e in kept if e.position > self._position]
            same = [histories.encode_entry(e) for e in kept if e.position <= self._position]
            reached = found["position"] >= bucket.position
            if same == expected and found.get("before") == bucket.before and reached:
                return
        place = ("document", "a bucket", None) if found is None else _first(expected, same, found)
        self._report.differ(WHERE, bucket.name, *place)
        position = max(bucket.position, found["position"] if found and newer else 0)
        repaired: Document = {
            "_id": bucket.name,
            "entries": expected + newer,
            "position": Int64(position),
        }
        if bucket.before is not None:
            repaired["before"] = bucket.before
        self.repairs[bucket.name] = (
            None if found is None else found["position"],
            repaired,
        )

    async def _find_strays(self) -> None:
        names = {thing.bucket.name for thing in self._things.values()}
        last = {name: int(n) for name, _, n in (label.rpartition("/") for label in names)}
        async for bucket in self._collection.find({}):
            name, _, number = bucket["_id"].rpartition("/")
            if number.isdecimal() and int(number) <= last.get(name, -1):
                continue
            if all(entry.position > self._position for entry in histories.read_entries(bucket)):
                continue
            self._report.differ(WHERE, bucket["_id"], "document", None, int(bucket["position"]))


def _first(expected: list[bytes], found: list[bytes], bucket: Document) -> tuple[str, Any, Any]:
    for place in range(max(len(expected), len(found))):
        wanted = expected[place].decode() if place < len(expected) else None
        has = found[place].decode() if place < len(found) else None
        if wanted != has:
            return "entries", wanted, has
    return "before", "the state before", (bucket.get("before") or b"").decode()
