"""Rewrites the ledger of a lane from the log: every leaf, every node, and nothing else.

Full leaves are written while the lane goes on; what came since, and the rest, while it stands
still. Packed, a line takes 24 bytes of memory.
Next: verify/repair.py
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from bson.int64 import Int64
from pymongo import ReplaceOne
from pymongo.asynchronous.database import AsyncDatabase

from storelog.documents.ledgers import FAN_OUT, LEDGER, NODES, Fact, pack_facts
from storelog.envelope import EVENT_COLUMNS, Envelope, envelope_from_row
from storelog.event_codec import lane_of
from storelog.read_models.change import Change
from storelog.read_side import IDS_AT_ONCE
from storelog.verify.fold import fact_of
from storelog.verify.sums import Tree, is_full

CHUNK = 2_000
Document = dict[str, Any]
Present = Callable[[Iterable[Envelope]], list[Change]]


@dataclass(slots=True)
class _Lane:
    number: int
    tree: Tree
    facts: list[Fact] = field(default_factory=list)
    leaves: list[Document] = field(default_factory=list)
    nodes: list[Document] = field(default_factory=list)
    # The number of leaves that are right, as are the nodes over only these.
    settled: int = 0

    def add(self, fact: Fact) -> None:
        self.facts.append(fact)
        if is_full(self.facts):
            self.leaves.append(self._leaf())
            self.nodes += self.tree.add_leaf(self.facts)
            self.facts = []

    def _leaf(self) -> Document:
        return {
            "_id": f"{self.number}/{self.tree.leaves}",
            "lane": self.number,
            "count": len(self.facts),
            "chunks": [pack_facts(self.facts)],
            "position": Int64(max(fact.position for fact in self.facts)),
        }

    def all_leaves(self) -> list[Document]:
        return [*self.leaves, *([self._leaf()] if self.facts else [])]


class LedgerRepair:
    """The ledger of some lanes, as the log makes it."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        connection: asyncpg.Connection,
        bad: Iterable[int],
        lanes: int,
        present: Present,
    ) -> None:
        self._database = database
        self._connection = connection
        self._lanes = lanes
        self._bad = {number: _Lane(number, Tree(number)) for number in bad}
        self._present = present
        self._done = 0

    async def read(self, up_to: Mapping[int, int]) -> None:
        """Read the log on to a position in each lane."""
        last = max((up_to.get(number, 0) for number in self._bad), default=0)
        async for events in _orders(self._connection, self._done, last):
            for change in self._present(events):
                fact = fact_of(change)
                if fact is None:
                    continue
                number = lane_of(f"customer-{fact.customer}", self._lanes)
                lane = self._bad.get(number)
                if lane is not None and fact.position <= up_to.get(number, 0):
                    lane.add(fact)
        self._done = max(self._done, last)

    async def write_full(self) -> int:
        """Write what is full, which no projector changes; return how many documents."""
        repaired = 0
        for lane in self._bad.values():
            place = await self._database["checkpoints"].find_one({"_id": lane.number}) or {}
            repaired += await self._replace(LEDGER, lane.leaves)
            repaired += await self._replace(NODES, lane.nodes)
            # A projector writes on to the leaf that its checkpoint names, so that one is not
            # settled.
            lane.settled = min(int(place.get("leaf", 0)), len(lane.leaves))
        return repaired

    async def write(self) -> int:
        """Write the rest of the lanes' ledgers, while no projector writes; return how many."""
        repaired = 0
        for lane in self._bad.values():
            nodes = [node for node in lane.nodes if _end(node) > lane.settled]
            repaired += await self._replace(LEDGER, lane.all_leaves()[lane.settled :])
            repaired += await self._replace(NODES, nodes)
            leaf = {"leaf": Int64(lane.tree.leaves)}
            await self._database["checkpoints"].update_one({"_id": lane.number}, {"$set": leaf})
        leaves = {leaf["_id"] for lane in self._bad.values() for leaf in lane.all_leaves()}
        nodes_there = {node["_id"] for lane in self._bad.values() for node in lane.nodes}
        repaired += await self._remove_others(LEDGER, leaves)
        return repaired + await self._remove_others(NODES, nodes_there)

    async def _replace(self, name: str, wanted: list[Document]) -> int:
        collection, changed = self._database[name], 0
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = wanted[start : start + IDS_AT_ONCE]
            names = {"_id": {"$in": [document["_id"] for document in some]}}
            found = {each["_id"]: each for each in await collection.find(names).to_list()}
            # Equal documents are left alone, so that a repair of little writes little.
            changes = [
                ReplaceOne({"_id": document["_id"]}, document, upsert=True)
                for document in some
                if found.get(document["_id"]) != document
            ]
            if changes:
                await collection.bulk_write(changes, ordered=False)
            changed += len(changes)
        return changed

    async def _remove_others(self, name: str, known: set[str]) -> int:
        """Remove documents of no lane, and those of these lanes that are not known."""
        collection = self._database[name]
        others = tuple(f"{number}/" for number in range(self._lanes) if number not in self._bad)
        ids = [found["_id"] async for found in collection.find({}, {"_id": 1})]
        strays = [each for each in ids if each not in known and not str(each).startswith(others)]
        for stray in strays:
            await collection.delete_one({"_id": stray})
        return len(strays)


def _end(node: Document) -> int:
    """Return the number of the first leaf that is not below a node."""
    _, level, index = str(node["_id"]).split("/")
    width: int = FAN_OUT ** int(level)
    return (int(index) + 1) * width


async def _orders(
    connection: asyncpg.Connection, after: int, up_to: int
) -> AsyncIterator[list[Envelope]]:
    while after < up_to:
        rows = await connection.fetch(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE position > $1 AND position <= $2"
            f" AND aggregate_type = 'order' ORDER BY position LIMIT {CHUNK}",
            after,
            up_to,
        )
        if not rows:
            return
        events = [envelope_from_row(tuple(row)) for row in rows]
        yield events
        after = events[-1].position
