"""Folds the log into histories; compares buckets once they are closed, the open ones at the end.

A bucket may hold newer events than this run has folded, which are not compared. It may have been
closed meanwhile, so it is looked for in the collection and in the entity's document.
Next: verify/ledger.py
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.documents import histories
from storelog.documents.histories import COLLECTION, OPEN, Bucket
from storelog.read_models.change import Change
from storelog.read_side import IDS_AT_ONCE
from storelog.verify.fold import entry_of
from storelog.verify.newer import filled_entry, newer_fields
from storelog.verify.report import Report

Document = dict[str, Any]
EntityKey = tuple[str, int]
WHERE = f"mongodb.{COLLECTION}"
MAX_SHOWN = 200
_NOTHING = object()


@dataclass(slots=True)
class _Bucket:
    """What a bucket must hold: the state before it, and its entries by version.

    `starts`: where the earlier buckets begin, which an open bucket stores.
    """

    key: EntityKey
    number: int
    first: int
    before: bytes | None
    starts: bytes
    entries: dict[int, bytes] = field(default_factory=dict)
    position: int = 0

    @property
    def label(self) -> str:
        return f"{histories.name_of(*self.key)}/{self.number}"


@dataclass(slots=True)
class _Folded:
    state: histories.EntityState
    bucket: _Bucket


class ComparedHistories:
    """What the histories must be up to `position`.

    `repairs` has the right closed buckets, `open_repairs` the right open ones in the documents,
    each with the position at which it was compared.
    """

    def __init__(self, database: AsyncDatabase[Document], report: Report, position: int) -> None:
        self._database = database
        self._report = report
        self._position = position
        self._entities: dict[EntityKey, _Folded] = {}
        self._closed: list[_Bucket] = []
        self._stored = 0
        self.repairs: dict[str, tuple[int | None, Document]] = {}
        self.open_repairs: dict[EntityKey, tuple[int, Bucket]] = {}
        self.strays: list[Any] = []

    async def fold(self, changes: Iterable[Change]) -> None:
        """Fold a chunk, and compare the buckets that are closed."""
        for change in changes:
            key = _key_of(change)
            if key is not None:
                self._fold(key, change)
        await self._compare_closed(IDS_AT_ONCE)

    def _fold(self, key: EntityKey, change: Change) -> None:
        entry, entity = entry_of(change), self._entities.get(key)
        if entity is None or histories.begins_new_bucket(entry.version):
            before, starts = None, b""
            state = histories.EntityState({}, {})
            if entity is not None:
                last = entity.bucket
                self._closed.append(last)
                state, before = entity.state, histories.encode_state(entity.state)
                starts = histories.add_start(last.starts, last.number, last.first)
            number = histories.bucket_of(entry.version)
            bucket = _Bucket(key, number, entry.position, before, starts)
            entity = self._entities[key] = _Folded(state, bucket)
        newer = newer_fields(change.aggregate)
        for name in histories.shown_fields(change.aggregate):
            before = entity.state.fields.get(name, newer.get(name, _NOTHING))
            if name in entry.facts and entry.facts[name] != before:
                entity.state.fields[name] = entry.facts[name]
                entity.state.set_by[name] = entry.position
        entity.bucket.entries[entry.version] = histories.encode_entry(entry)
        entity.bucket.position = entry.position

    async def finish(self) -> None:
        """Compare the rest, and find buckets without an event."""
        self._closed += [entity.bucket for entity in self._entities.values()]
        await self._compare_closed(1)
        # Counting is cheap; only a wrong count is worth a scan of the collection.
        if await self._database[COLLECTION].count_documents({}) != self._stored:
            await self._find_strays()

    async def _compare_closed(self, at_least: int) -> None:
        while len(self._closed) >= at_least:
            some, self._closed = self._closed[:IDS_AT_ONCE], self._closed[IDS_AT_ONCE:]
            found = await self._find(some)
            for bucket in some:
                self._compare(bucket, *found.get(bucket.label, (None, None)))

    async def _find(self, some: list[_Bucket]) -> dict[str, tuple[Bucket, int | None]]:
        """Return buckets by label, those of documents with the document's position."""
        # In this order, since a bucket moves from the document to the collection, and never back.
        found = await self._stored_buckets(some)
        left = [bucket for bucket in some if bucket.label not in found]
        found |= await self._open_buckets(left)
        left = [bucket for bucket in left if bucket.label not in found]
        # A bucket may have been closed between the two reads.
        return found | await self._stored_buckets(left)

    async def _stored_buckets(self, some: list[_Bucket]) -> dict[str, tuple[Bucket, int | None]]:
        if not some:
            return {}
        labels = {"_id": {"$in": [bucket.label for bucket in some]}}
        buckets = [bucket async for bucket in self._database[COLLECTION].find(labels)]
        self._stored += len(buckets)
        return {bucket["_id"]: (bucket, None) for bucket in buckets}

    async def _open_buckets(self, some: list[_Bucket]) -> dict[str, tuple[Bucket, int | None]]:
        found: dict[str, tuple[Bucket, int | None]] = {}
        for collection in {bucket.key[0] for bucket in some}:
            ids = [bucket.key[1] for bucket in some if bucket.key[0] == collection]
            wanted, fields = {"_id": {"$in": ids}}, {"position": 1, OPEN: 1}
            async for document in self._database[collection].find(wanted, fields):
                name = histories.name_of(collection, document["_id"])
                own = histories.open_bucket(document)
                if not _entries_of(own):
                    continue
                label = f"{name}/{histories.bucket_number(own)}"
                found[label] = own, document["position"]
        return found

    def _compare(self, bucket: _Bucket, found: Bucket | None, at: int | None) -> None:
        self._report.count(WHERE)
        expected = [bucket.entries[version] for version in sorted(bucket.entries)]
        newer: list[bytes] = []
        same: list[bytes] = []
        place: tuple[str, Any, Any] | None = ("document", "a bucket", None)
        if found is not None:
            for entry in _entries_of(found):
                kept = newer if entry.position > self._position else same
                kept.append(histories.encode_entry(filled_entry(bucket.label, entry)))
            place = _first(expected, same) or _beside(bucket, found, is_open=at is not None)
        if place is None:
            return
        self._report.differ(WHERE, bucket.label, *place)
        # Entries that are newer than this run must survive the repair.
        repaired: Bucket = {"entries": expected + newer}
        if bucket.before is not None:
            repaired["before"] = bucket.before
        is_open = self._entities[bucket.key].bucket is bucket
        if at is not None or (found is None and is_open):
            repaired |= {"starts": bucket.starts} if bucket.starts else {}
            self.open_repairs[bucket.key] = (bucket.position if at is None else at, repaired)
        else:
            known = None if found is None else int(found["position"])
            position = Int64(max(bucket.position, known or 0))
            whole = {"_id": bucket.label, **repaired, "position": position}
            self.repairs[bucket.label] = (known, whole)

    async def _find_strays(self) -> None:
        last = {histories.name_of(*k): t.bucket.number for k, t in self._entities.items()}
        async for bucket in self._database[COLLECTION].find({}):
            name, _, number = str(bucket["_id"]).rpartition("/")
            if number.isdecimal() and int(number) <= last.get(name, -1):
                continue
            if self._is_newer(bucket):
                continue
            self.strays.append(bucket["_id"])
            self._report.differ(WHERE, bucket["_id"], "document", None, bucket.get("position"))

    def _is_newer(self, bucket: Document) -> bool:
        """Tell whether all entries of a bucket came after the position."""
        entries = _entries_of(bucket)
        return bool(entries) and all(entry.position > self._position for entry in entries)


def _entries_of(bucket: Bucket) -> list[histories.Entry]:
    """Return a bucket's entries; none if they cannot be read."""
    try:
        return histories.read_entries(bucket)
    except (msgspec.MsgspecError, KeyError, TypeError):
        return []


def _key_of(change: Change) -> EntityKey | None:
    """Return the document whose history the change belongs to; None where there is no history."""
    entity = change.kind.entity
    if entity not in histories.KEPT:
        return None
    return entity.collection, int(change.aggregate.partition("-")[2])


def _first(expected: list[bytes], found: list[bytes]) -> tuple[str, Any, Any] | None:
    """Return the first entry that differs."""
    for place in range(max(len(expected), len(found))):
        wanted = expected[place].decode() if place < len(expected) else None
        has = found[place].decode() if place < len(found) else None
        if wanted != has:
            return "entries", wanted, has
    return None


def _beside(bucket: _Bucket, found: Bucket, *, is_open: bool) -> tuple[str, Any, Any] | None:
    """Return the first difference in a bucket beside its entries."""
    if found.get("before") != bucket.before:
        return "before", "the state before", (found.get("before") or b"").decode()
    starts = found.get("starts", b"")
    if is_open and starts != bucket.starts:
        return "starts", "where older buckets begin", repr(starts)[:MAX_SHOWN]
    return None
