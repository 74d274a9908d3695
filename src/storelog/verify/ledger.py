"""Compares the ledger with the log, fact by fact, and each node with the leaves below it.

Facts are first added up by position, as the log has them and as the leaves have them, so memory
does not grow with them; only where the sums differ both are read again. A leaf may hold facts of
newer events than this run has folded: those are left out of the comparison with the log. Which leaf
holds a fact is the projector's affair, that it is there once is what counts.
Next: verify/verify.py
"""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Any

from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.ledgers import (
    FAN_OUT,
    LEDGER,
    MAX_LEVEL,
    NODES,
    Fact,
    facts_of_leaf,
    is_full,
    leaf_node,
    pack_facts,
    parent_node,
    unpack_facts,
)
from storelog.projector.change import Change
from storelog.projector.checkpoints import CHECKPOINTS
from storelog.projector.ledger_writer import stored
from storelog.projector.read_models.ledger import fact_of
from storelog.verify.digests import POSITIONS, Sums
from storelog.verify.report import Report

Document = dict[str, Any]
NODE_SECONDS = 1.0
LEAVES, SUMS = f"mongodb.{LEDGER}", f"mongodb.{NODES}"


def leaf_fields(facts: list[Fact]) -> Document:
    """Return what a leaf with these facts has beside its name and lane."""
    return {
        "count": len(facts),
        "chunks": [pack_facts(facts)],
        "position": Int64(max((fact.position for fact in facts), default=0)),
    }


class Ledger:
    """What the ledger must hold up to `position`; `suspects`: where facts are looked at closely."""

    def __init__(self, database: AsyncDatabase[Document], report: Report, position: int) -> None:
        self._database = database
        self._leaves, self._nodes = database[LEDGER], database[NODES]
        self._report = report
        self._position = position
        self._sums = Sums()
        self._expected: dict[int, bytes] = {}
        self._found: set[int] = set()
        self.suspects: set[int] = set()
        self.has_differences = False
        self.node_repairs: dict[str, Document] = {}

    def fold(self, changes: Iterable[Change]) -> None:
        """Add up what the changes add."""
        for change in changes:
            fact = fact_of(change)
            if fact is not None:
                self._sums.add(fact.position, _hash(pack_facts([fact])))

    async def finish(self) -> None:
        """Add up every leaf, compare every node."""
        for lane in await self._lanes():
            await self._compare_lane(lane)
        self.suspects = self._sums.suspects()

    async def _lanes(self) -> list[int]:
        found = self._database[CHECKPOINTS].find({}, {"_id": 1})
        return [int(lane["_id"]) async for lane in found]

    def fold_closely(self, changes: Iterable[Change]) -> None:
        """Take in what the changes add where the sums differ."""
        for change in changes:
            is_due = change.position <= self._position and self._is_suspect(change.position)
            fact = fact_of(change) if is_due else None
            if fact is not None:
                self._expected[fact.position] = pack_facts([fact])

    async def finish_closely(self) -> None:
        """Name the facts that differ."""
        for lane in await self._lanes() if self.suspects else ():
            leaf = 0
            while (found := await self._read(lane, leaf)) is not None:
                self._compare_facts(facts_of_leaf(found))
                leaf += 1
        for position in sorted(self._expected.keys() - self._found):
            self._differ(LEAVES, position, "fact", "a fact", None)

    def _is_suspect(self, position: int) -> bool:
        return position // POSITIONS in self.suspects

    async def _compare_lane(self, lane: int) -> None:
        leaf, nodes = 0, dict[str, Document]()
        found = await self._read(lane, leaf)
        while found is not None:
            facts = list(facts_of_leaf(found))
            follows = await self._read(lane, leaf + 1)
            if follows is not None and not is_full(facts):
                # It may have been filled between the two reads.
                facts = list(facts_of_leaf(await self._read(lane, leaf) or found))
            self._add_up(facts)
            self._report.count(LEAVES)
            if follows is None and not is_full(facts):
                break
            found = follows
            await self._compare_node(leaf_node(lane, leaf, facts), nodes)
            leaf += 1
            for level in range(1, MAX_LEVEL + 1):
                if leaf % FAN_OUT**level:
                    break
                index = leaf // FAN_OUT**level - 1
                below = range(index * FAN_OUT, (index + 1) * FAN_OUT)
                children = [nodes.pop(f"{lane}/{level - 1}/{number}") for number in below]
                await self._compare_node(parent_node(lane, level, index, children), nodes)

    async def _read(self, lane: int, leaf: int) -> Document | None:
        return await self._leaves.find_one({"_id": f"{lane}/{leaf}"})

    def _add_up(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            if fact.position <= self._position:
                self._sums.add(fact.position, -_hash(pack_facts([fact])))

    def _compare_facts(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            if fact.position > self._position or not self._is_suspect(fact.position):
                continue
            expected, packed = self._expected.get(fact.position), pack_facts([fact])
            if expected != packed:
                self._differ(LEAVES, fact.position, "fact", expected, packed)
            if fact.position in self._found:
                self._differ(LEAVES, fact.position, "fact", "once", "twice")
            self._found.add(fact.position)

    async def _compare_node(self, expected: Document, nodes: dict[str, Document]) -> None:
        nodes[expected["_id"]] = expected
        name = {"_id": expected["_id"]}
        found = await self._nodes.find_one(name)
        if found is None:
            # A leaf that was filled just now gets its node a moment later.
            await asyncio.sleep(NODE_SECONDS)
            found = await self._nodes.find_one(name)
        self._report.count(SUMS)
        if found != stored(expected):
            self.node_repairs[expected["_id"]] = stored(expected)
            at = None if found is None else found.get("maxPosition")
            self._differ(SUMS, expected["_id"], "sums", expected["maxPosition"], at)

    def missing(self) -> list[Fact]:
        """Return the facts that no leaf holds."""
        missing = sorted(self._expected.keys() - self._found)
        return [next(unpack_facts(self._expected[position])) for position in missing]

    def mended(self, leaf: Document) -> Document | None:
        """Return a leaf with the log's facts in place of its own, None when it has no others."""
        kept: dict[int, Fact] = {}
        facts = list(facts_of_leaf(leaf))
        for fact in facts:
            expected = self._expected.get(fact.position)
            if fact.position > self._position or not self._is_suspect(fact.position):
                kept[fact.position] = fact
            elif expected is not None:
                kept[fact.position] = next(unpack_facts(expected))
        mended = list(kept.values())
        return None if mended == facts else leaf | leaf_fields(mended)

    def _differ(self, where: str, thing: Any, name: str, expected: Any, found: Any) -> None:
        self.has_differences = True
        self._report.differ(where, thing, name, expected, found)


def _hash(packed: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(packed, digest_size=16).digest())
