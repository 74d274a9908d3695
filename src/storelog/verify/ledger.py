"""Compares the ledger with the log, fact by fact, and each node with the leaves below it.

Facts are first added up by position, those of the log and those of the leaves, so memory does not
grow with them; only where the sums differ are both read again. A leaf may hold facts of newer
events than this run has folded, which are not compared. A fact may be in any leaf, but must be
there once.
Next: verify/repair_ledger.py
"""

import asyncio
import hashlib
import struct
from collections.abc import Iterable
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from storelog.documents.ledgers import LEDGER, NODES, Fact, facts_of_leaf, pack_facts
from storelog.event_codec import lane_of
from storelog.read_models.change import Change
from storelog.verify.digests import POSITIONS, HashSums
from storelog.verify.fold import fact_of
from storelog.verify.report import Report
from storelog.verify.sums import Tree, is_full

Document = dict[str, Any]
# The projector writes a leaf, its node and the checkpoint in turn, so each may lag behind.
NODE_SECONDS, LEAF_SECONDS = 1.0, 0.2
LEAF_TRIES = 15
LEAVES, SUMS, PLACES = f"mongodb.{LEDGER}", f"mongodb.{NODES}", "mongodb.checkpoints"


class Ledger:
    """What the ledger must hold up to `position`; `suspects`: the buckets to inspect.

    The ledgers of `bad_lanes` must be rewritten.
    """

    def __init__(
        self, database: AsyncDatabase[Document], report: Report, position: int, lanes: int
    ) -> None:
        self._database = database
        self._leaves, self._nodes = database[LEDGER], database[NODES]
        self._report = report
        self._position = position
        self._lanes = lanes
        self._sums = HashSums()
        self._expected: dict[int, Fact] = {}
        self._found: set[int] = set()
        self.suspects: set[int] = set()
        self.bad_lanes: set[int] = set()

    def fold(self, changes: Iterable[Change]) -> None:
        """Add up the facts of the changes."""
        for change in changes:
            fact = fact_of(change)
            if fact is not None:
                self._sums.add(fact.position, _hash(pack_facts([fact])))

    async def finish(self) -> None:
        """Add up every leaf, compare every node, and find strays."""
        for lane in range(self._lanes):
            await self._compare_lane(lane)
        self.suspects = self._sums.suspects()
        await self._find_strays()

    def fold_closely(self, changes: Iterable[Change]) -> None:
        """Keep the facts of the changes where the sums differ."""
        for change in changes:
            is_due = change.position <= self._position and self._is_suspect(change.position)
            fact = fact_of(change) if is_due else None
            if fact is not None:
                self._expected[fact.position] = fact

    async def finish_closely(self) -> None:
        """Report the facts that differ."""
        for lane in range(self._lanes) if self.suspects else ():
            leaf = 0
            while (found := await self._read(lane, leaf)) is not None:
                self._compare_facts(lane, self._facts(found))
                leaf += 1
        for position in sorted(self._expected.keys() - self._found):
            fact = self._expected[position]
            lane = lane_of(f"customer-{fact.customer}", self._lanes)
            self._differ(lane, LEAVES, position, "fact", _shown(fact), None)

    def _is_suspect(self, position: int) -> bool:
        return position // POSITIONS in self.suspects

    async def _compare_lane(self, lane: int) -> None:
        leaf, tree = 0, Tree(lane)
        found = await self._read(lane, leaf)
        while found is not None:
            facts = self._facts(found)
            follows = await self._read(lane, leaf + 1)
            if follows is not None and not is_full(facts):
                # The projector may have filled it between the two reads.
                found = await self._read(lane, leaf) or found
                facts = self._facts(found)
            self._check_leaf(lane, found, facts)
            self._add_up(facts)
            self._report.count(LEAVES)
            if (follows is None and not is_full(facts)) or not facts:
                break
            found = follows
            for node in tree.add_leaf(facts):
                await self._compare_node(lane, node)
            leaf += 1
        await self._compare_leaf(lane, leaf)

    async def _read(self, lane: int, leaf: int) -> Document | None:
        return await self._leaves.find_one({"_id": f"{lane}/{leaf}"})

    def _facts(self, leaf: Document) -> list[Fact]:
        try:
            return list(facts_of_leaf(leaf))
        except (struct.error, KeyError, TypeError):
            return []

    def _check_leaf(self, lane: int, leaf: Document, facts: list[Fact]) -> None:
        """Check a leaf's other fields."""
        highest = max((fact.position for fact in facts), default=0)
        if leaf.get("count") != len(facts):
            self._differ(lane, LEAVES, leaf["_id"], "count", len(facts), leaf.get("count"))
        if not isinstance(leaf.get("position"), int) or leaf["position"] < highest:
            self._differ(lane, LEAVES, leaf["_id"], "position", highest, leaf.get("position"))

    async def _compare_leaf(self, lane: int, leaf: int) -> None:
        """Compare the leaf that is being filled with the checkpoint, which may move on."""
        at = None
        for _ in range(LEAF_TRIES):
            place = await self._database["checkpoints"].find_one({"_id": lane}, {"leaf": 1})
            at = None if place is None else place.get("leaf")
            if place is None or at == leaf:
                return
            await asyncio.sleep(LEAF_SECONDS)
            while (found := await self._read(lane, leaf)) and is_full(self._facts(found)):
                leaf += 1
        self._differ(lane, PLACES, lane, "leaf", leaf, at)

    def _add_up(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            if fact.position <= self._position:
                self._sums.add(fact.position, -_hash(pack_facts([fact])))

    def _compare_facts(self, lane: int, facts: Iterable[Fact]) -> None:
        for fact in facts:
            if fact.position > self._position or not self._is_suspect(fact.position):
                continue
            expected = self._expected.get(fact.position)
            if expected != fact:
                self._differ(lane, LEAVES, fact.position, "fact", _shown(expected), _shown(fact))
            if fact.position in self._found:
                self._differ(lane, LEAVES, fact.position, "fact", "once", "twice")
            self._found.add(fact.position)

    async def _compare_node(self, lane: int, expected: Document) -> None:
        name = {"_id": expected["_id"]}
        found = await self._nodes.find_one(name)
        if found is None:
            # A leaf that was just filled gets its node a moment later.
            await asyncio.sleep(NODE_SECONDS)
            found = await self._nodes.find_one(name)
        self._report.count(SUMS)
        if found != expected:
            at = None if found is None else found.get("maxPosition")
            self._differ(lane, SUMS, expected["_id"], "sums", expected["maxPosition"], at)

    async def _find_strays(self) -> None:
        """Find stray nodes and leaves. Nodes are listed first, since they are written last."""
        nodes = [node["_id"] async for node in self._nodes.find({}, {"_id": 1})]
        leaves = {leaf["_id"] async for leaf in self._leaves.find({}, {"_id": 1})}
        known, whole = set[str](), set[str]()
        for lane in range(self._lanes):
            count = 0
            while (name := f"{lane}/{count}") in leaves:
                known.add(name)
                count += 1
            size, level = 1, 0
            while size <= count:
                whole |= {f"{lane}/{level}/{index}" for index in range(count // size)}
                size, level = size * 4, level + 1
        for where, strays in ((LEAVES, leaves - known), (SUMS, set(nodes) - whole)):
            for stray in sorted(strays, key=str):
                number = str(stray).partition("/")[0]
                lane = int(number) if number.isdecimal() else 0
                self._differ(lane, where, stray, "document", None, "a document")

    def _differ(
        self, lane: int, where: str, subject: Any, name: str, expected: Any, found: Any
    ) -> None:
        # The repair of any lane also removes documents that belong to none.
        self.bad_lanes.add(lane if lane < self._lanes else 0)
        self._report.differ(where, subject, name, expected, found)


def _shown(fact: Fact | None) -> Any:
    if fact is None:
        return None
    return {"customer": fact.customer, "sign": fact.sign, "at": fact.at_ms, "lines": fact.lines}


def _hash(packed: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(packed, digest_size=16).digest())
