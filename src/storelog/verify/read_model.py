"""Folds the log with the projector's own folds, and compares each document of MongoDB.

A document is compared at the position that it names itself, so writes may go on meanwhile: one that
is already beyond the position of this run is compared in a second pass over the newer events.
Next: verify/history.py
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from storelog.projector.change import Change
from storelog.projector.database import READ_MODELS
from storelog.projector.read_models.document import Fields, Write
from storelog.read_side import IDS_AT_ONCE
from storelog.verify.report import Report, differing

MARKS = ("cancelled", "cancelPosition")
Document = dict[str, Any]
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Repair:
    """What a document must be, None: not there. `is_forced`: its own position cannot be trusted."""

    fields: Fields | None
    is_forced: bool = False


@dataclass(slots=True)
class _Later:
    """A document that is beyond this run's position, and what it must be so far."""

    found: Document
    fields: Fields


class ReadModel:
    """What the documents must be, and `repairs` for those that are not."""

    def __init__(self, database: AsyncDatabase[Document], report: Report, position: int) -> None:
        self._database = database
        self._report = report
        self._position = position
        # Sales set only some fields of a product, so the rest is kept; others are whole.
        self._products: dict[int, Fields] = {}
        # Which event made a document stands in it for ever.
        self._created: dict[Key, Fields] = {}
        self._settled: dict[str, set[int]] = {model.COLLECTION: set() for model in READ_MODELS}
        self._later: dict[Key, _Later] = {}
        self._marked: dict[int, Fields] = {}
        self._claimed: dict[int, Fields] = {}
        self.repairs: dict[Key, Repair] = {}
        self.mark_repairs: dict[int, Fields | None] = {}

    async def fold(self, changes: Iterable[Change]) -> None:
        """Fold a chunk, and compare the documents whose newest event is in it."""
        last: dict[Key, Write] = {}
        for change in changes:
            for write in self._writes(change):
                if write.is_mark:
                    self._marked[write.document_id] = write.fields
                else:
                    last[write.collection, write.document_id] = write
        for collection in self._settled:
            writes = [write for key, write in last.items() if key[0] == collection]
            for start in range(0, len(writes), IDS_AT_ONCE):
                await self._compare_all(collection, writes[start : start + IDS_AT_ONCE])

    def _writes(self, change: Change) -> list[Write]:
        writes = [write for model in READ_MODELS for write in model.fold(change)]
        for write in writes:
            key = (write.collection, write.document_id)
            if write.collection == "products":
                known = self._products.get(write.document_id, {})
                write.fields = self._products[write.document_id] = {**known, **write.fields}
            elif "created" in write.fields:
                self._created[key] = write.fields["created"]
            elif key in self._created:
                write.fields["created"] = self._created[key]
        return writes

    async def _compare_all(self, collection: str, writes: list[Write]) -> None:
        ids = [write.document_id for write in writes]
        cursor = self._database[collection].find({"_id": {"$in": ids}})
        found = {document["_id"]: document async for document in cursor}
        for write in writes:
            self._compare(write, found.get(write.document_id))

    def _compare(self, write: Write, found: Document | None) -> None:
        key = (write.collection, write.document_id)
        at = None if found is None else found.get("position")
        if found is None or at is None or at < write.position:
            self._differ(key, "position", write.position, at, write.fields)
        elif at == write.position:
            self._report.count(f"mongodb.{write.collection}")
            self._compare_fields(key, write.fields, found)
        elif at > self._position:
            self._later[key] = _Later(found, write.fields)
        else:
            return
        self._settled[write.collection].add(write.document_id)

    def _compare_fields(self, key: Key, expected: Fields, found: Document) -> None:
        found = {name: value for name, value in found.items() if name != "_id"}
        if key[0] == "product_sold":
            marks = {name: found.pop(name) for name in MARKS if name in found}
            if marks:
                self._claimed[key[1]] = marks
        place = differing(expected, found)
        if place is not None:
            self._differ(key, place[0], place[1], place[2], expected)

    def _differ(self, key: Key, name: str, expected: Any, found: Any, whole: Fields) -> None:
        self._report.differ(f"mongodb.{key[0]}", key[1], name, expected, found)
        self.repairs[key] = Repair(whole)

    def latest(self) -> int:
        """Return how far the second pass has to read: the newest position of a later document."""
        return max((int(later.found["position"]) for later in self._later.values()), default=0)

    def fold_later(self, changes: Iterable[Change]) -> None:
        """Fold newer events, and compare the documents that are at one of them."""
        for change in changes:
            for write in self._writes(change):
                key = (write.collection, write.document_id)
                later = self._later.get(key)
                if later is None or write.is_mark:
                    continue
                later.fields = write.fields
                if later.found["position"] == change.position:
                    self._report.count(f"mongodb.{write.collection}")
                    self._compare_fields(key, write.fields, later.found)
                    del self._later[key]

    async def finish(self, head: int) -> None:
        """Compare the marks, and find documents that no event accounts for."""
        for key, later in self._later.items():
            at = later.found["position"]
            self._report.differ(f"mongodb.{key[0]}", key[1], "position", "an event of it", at)
            self.repairs[key] = Repair(later.fields, is_forced=True)
        await self._compare_marks()
        for collection, settled in self._settled.items():
            if await self._database[collection].count_documents({}) != len(settled):
                await self._find_strays(collection, settled, head)

    async def _compare_marks(self) -> None:
        for item in self._marked.keys() | self._claimed.keys():
            expected, found = self._marked.get(item), self._claimed.get(item)
            is_newer = found is not None and found.get("cancelPosition", 0) > self._position
            if expected == found or (expected is None and is_newer):
                continue
            if found is None:
                document = await self._database["product_sold"].find_one({"_id": item}) or {}
                found = {name: document[name] for name in MARKS if name in document}
            if expected != found:
                name = "cancelled"
                self._report.differ("mongodb.product_sold", item, name, expected, found or None)
                self.mark_repairs[item] = expected

    async def _find_strays(self, collection: str, settled: set[int], head: int) -> None:
        cursor = self._database[collection].find({}, {"position": 1})
        async for document in cursor:
            thing, at = document["_id"], document.get("position")
            if thing in settled or (isinstance(at, int) and self._position < at <= head):
                continue
            if at is None and thing in self._marked:
                continue
            self._report.differ(f"mongodb.{collection}", _shown(thing), "document", None, at)
            self.repairs[collection, thing] = Repair(None, is_forced=True)

    def marks_of(self, key: Key) -> Fields:
        """Return the marks that a document must have beside its owner's fields."""
        return self._marked.get(key[1], {}) if key[0] == "product_sold" else {}


def _shown(thing: Any) -> Any:
    return thing if isinstance(thing, int | str) else repr(thing)
