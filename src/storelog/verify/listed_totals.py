"""Compares read models that keep sums with the log, whose events are added up again in plain code.

It uses the read model's own additions, so it finds writes that were lost, doubled or altered, but
not a wrong fold. Each document is compared at the position that it names; a difference is reported
only after the document and the log were read again. Memory grows with the keys, not with the
events.
Next: verify/checks.py
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.errors import PoisonRecord
from storelog.event_codec import lane_of, owner_of
from storelog.read_models.change import Change
from storelog.read_models.totals import TotalsModel
from storelog.verify.report import Report, differing

SCAN_DOCUMENTS = 500
# How often a repair is repeated because the projector changed the document meanwhile.
MAX_TURNS = 5
Document = dict[str, Any]


class TotalsCheck:
    """One read model. `shape`: the shape that it was filled with."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        report: Report,
        position: int,
        lanes: int,
        model: TotalsModel,
        shape: int,
    ) -> None:
        self._collection = database[model.collection]
        self._where = f"mongodb.{model.collection}"
        self._report = report
        self._position = position
        self._lanes = lanes
        self._model = model
        self._sums = model.sums_of(shape)
        self._found: dict[Any, Document] = {}
        self._expected: dict[str, Document] = {}
        self._suspects: Collection[Any] | None = None
        self._bad: dict[Any, Document | None] = {}

    @property
    def newest(self) -> int:
        """The newest position that a document names."""
        places = (document.get("position") for document in self._found.values())
        return max((place for place in places if isinstance(place, int)), default=0)

    @property
    def is_wrong(self) -> bool:
        """Whether documents must be inspected."""
        return bool(self._suspects)

    async def scan(self) -> None:
        """Read the documents; in the second turn only those that did not agree."""
        self._found, self._expected = {}, {}
        async for document in self._collection.find({}, batch_size=SCAN_DOCUMENTS):
            name = document.pop("_id")
            if self._suspects is None or name in self._suspects:
                # `late` tells how the sums came about, not what they are.
                document.pop("late", None)
                self._found[name] = document

    def fold(self, changes: Iterable[Change]) -> None:
        """Add up the log's next changes, up to the position of each document."""
        for change in changes:
            try:
                additions = self._model.additions(change)
            except PoisonRecord:
                # It is a dead letter, which the read model lacks.
                continue
            lane = lane_of(owner_of(change.event), self._lanes) if additions else 0
            for added in additions:
                name = f"{lane}/{added.key}"
                if self._suspects is not None and name not in self._suspects:
                    continue
                at = self._found.get(name, {}).get("position", 0)
                if not isinstance(at, int) or change.position <= max(at, self._position):
                    self._add(name, lane, change.position, added.key, added.sums)

    def _add(
        self, name: str, lane: int, position: int, key: int | str, sums: Mapping[str, Any]
    ) -> None:
        empty = {"lane": lane, "key": key, **{each.name: 0 for each in self._sums}}
        total = self._expected.setdefault(name, empty)
        total["position"] = position
        for each in self._sums:
            total[each.name] += sums.get(each.name, 0)

    def finish(self) -> None:
        """Note documents that do not agree; after the second turn, report them."""
        is_second = self._suspects is not None
        differs = {
            name
            for name in self._found.keys() | self._expected.keys()
            if self._plain(self._found.get(name)) != self._expected.get(name)
        }
        if not is_second:
            self._report.count(self._where, len(self._found))
            self._suspects = differs
            return
        for name in sorted(differs, key=str):
            found, expected = self._found.get(name), self._expected.get(name)
            self._bad[name] = found
            if found is None or expected is None:
                places: list[Any] = [("document", expected, found)]
            else:
                places = differing(expected, self._plain(found))
            for place in places:
                self._report.differ(self._where, name, *place)

    def _plain(self, document: Document | None) -> Document | None:
        """Return a document's numbers as they are added up."""
        if document is None:
            return None
        return {
            name: value.to_decimal() if isinstance(value, Decimal128) else value
            for name, value in document.items()
        }

    async def repair(self) -> int:
        """Correct the documents by their differences; return how many.

        The projector may go on meanwhile: what it adds stays added. A document without any event is
        deleted only if it has not changed.
        """
        repaired = 0
        for name, found in self._bad.items():
            expected = self._expected.get(name)
            for _ in range(MAX_TURNS):
                now = await self._collection.find_one({"_id": name})
                # None also matches a document without a position.
                same = {"_id": name, "position": (now or {}).get("position")}
                if expected is None:
                    as_found = {"_id": name, "position": (found or {}).get("position")}
                    done = (await self._collection.delete_one(as_found)).deleted_count
                else:
                    document = self._corrected(expected, found, now)
                    moved = await self._collection.replace_one(same, document, upsert=now is None)
                    done = moved.matched_count or int(moved.upserted_id is not None)
                if done:
                    repaired += 1
                    break
        return repaired

    def _corrected(
        self, expected: Document, found: Document | None, now: Document | None
    ) -> Document:
        """Return the right document: the expected sums, and what was added since it was read."""
        was, since = self._plain(found) or {}, self._plain(now) or {}
        at = since.get("position")
        has_moved = isinstance(at, int) and at != was.get("position")
        key, position = expected["key"], int(expected["position"])
        document: Document = {
            "lane": expected["lane"],
            "key": Int64(key) if isinstance(key, int) else key,
            "position": Int64(max(position, at) if isinstance(at, int) and has_moved else position),
        }
        for each in self._sums:
            number = expected[each.name]
            if has_moved:
                # The projector has added events since: keep what they added.
                number += _number(since.get(each.name)) - _number(was.get(each.name))
            document[each.name] = Int64(number) if each.kind == "count" else Decimal128(str(number))
        if now is not None and "late" in now:
            document["late"] = now["late"]
        return document


def _number(value: Any) -> Any:
    return value if isinstance(value, int | Decimal) else 0
