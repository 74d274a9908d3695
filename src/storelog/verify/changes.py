"""Compares the collection `changes` with the log, block by block, as the log is read.

A block's documents have what live readers are told about its positions. A position must appear
once, or several times with the same content; it must be in the read model, and in its own block.
Positions newer than this run's are not compared.
Next: verify/repair_changes.py
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from pymongo.asynchronous.database import AsyncDatabase

from storelog.read_models.change import Change
from storelog.read_side import BLOCK_POSITIONS
from storelog.verify.fold import told_of
from storelog.verify.newer import fill_facts
from storelog.verify.report import Report, differing

COLLECTION = "changes"
WHERE = f"mongodb.{COLLECTION}"
Document = dict[str, Any]
# An event's type, and what live readers are told about it.
Told = tuple[str, Document]
read_entries = msgspec.json.Decoder(list[tuple[int, str, dict[str, Any]]]).decode
_encode = msgspec.json.Encoder(order="sorted").encode
_UNREADABLE = (zlib.error, msgspec.MsgspecError, KeyError, TypeError, ValueError)


def block_of(position: int) -> int:
    """Return the number of the block that a position belongs to."""
    return (position - 1) // BLOCK_POSITIONS


class ChangesCheck:
    """`bad_blocks` must be rewritten; `strays`, documents of no block, must be removed."""

    def __init__(self, database: AsyncDatabase[Document], report: Report, position: int) -> None:
        self._collection = database[COLLECTION]
        self._report = report
        self._position = position
        self._named: set[Any] = set()
        self._last = 0
        self.bad_blocks: set[int] = set()
        self.strays: list[Any] = []

    async def fold(self, up_to: int, changes: Iterable[Change]) -> None:
        """Compare the blocks up to a position, from where the last call ended.

        `changes`: those of the events in between that the read model must have.
        """
        # The chunks of the log end anywhere, so a block may be compared in several steps.
        first, last = self._last + 1, min(up_to, self._position)
        if last < first:
            return
        self._last = last
        found = await self._read(first, last)
        expected: dict[int, Told] = {
            change.position: (change.kind.name, told_of(change))
            for change in changes
            if change.position <= last
        }
        self._report.count(WHERE, len(expected))
        missing: dict[int, list[int]] = {}
        added: dict[int, list[int]] = {}
        for position in sorted(expected.keys() | found.keys()):
            if position not in found:
                missing.setdefault(block_of(position), []).append(position)
            elif position not in expected:
                added.setdefault(block_of(position), []).append(position)
            else:
                self._compare(position, expected[position], found[position])
        for block in sorted(missing.keys() | added.keys()):
            places = missing.get(block), added.get(block)
            self._differ(block, block, "positions", *places)

    async def _read(self, first: int, last: int) -> dict[int, Told]:
        told: dict[int, Told] = {}
        blocks = {"$gte": block_of(first), "$lte": block_of(last)}
        async for document in self._collection.find({"block": blocks}):
            for position, event_type, facts in self._entries(document):
                if first <= position <= last:
                    fill_facts(event_type, facts["change"])
                    one = (event_type, facts)
                    if told.setdefault(position, one) != one:
                        self._differ(document["block"], position, "change", "once", "in two ways")
        return told

    def _entries(self, document: Document) -> Sequence[tuple[int, str, Document]]:
        block, name = int(document["block"]), document["_id"]
        try:
            entries = read_entries(zlib.decompress(document["entries"]))
            last = max(position for position, _, _ in entries)
        except _UNREADABLE:
            self._differ_once(block, name, "entries", "changes", "nothing that can be read")
            return ()
        if document.get("last") != last:
            self._differ_once(block, name, "last", last, document.get("last"))
        if any(block_of(position) != block for position, _, _ in entries):
            self._differ_once(block, name, "block", block_of(last), block)
        return [entry for entry in entries if block_of(entry[0]) == block]

    def _compare(self, position: int, expected: Told, found: Told) -> None:
        if expected[0] != found[0]:
            self._differ(block_of(position), position, "eventType", expected[0], found[0])
        # Nearly all are equal, and comparing their bytes is fast; only others are compared by
        # field.
        if _encode(expected[1]) == _encode(found[1]):
            return
        for place in differing(expected[1], found[1]):
            self._differ(block_of(position), position, *place)

    def _differ_once(self, block: int, name: Any, *place: Any) -> None:
        if name not in self._named:
            self._named.add(name)
            self._differ(block, name, *place)

    def _differ(self, block: int, subject: Any, name: str, expected: Any, found: Any) -> None:
        self.bad_blocks.add(block)
        self._report.differ(WHERE, subject, name, expected, found)

    async def finish(self, head: int) -> None:
        """Find documents whose block has no position of the log; `head` is its present end."""
        # The negation also finds blocks that are no numbers.
        inside = {"$gte": 0, "$lte": block_of(head)}
        async for document in self._collection.find({"block": {"$not": inside}}, {"block": 1}):
            self.strays.append(document["_id"])
            self._report.differ(WHERE, document["_id"], "block", None, document.get("block"))
