"""Writes one lane's ledger: one push for each batch, and a node or two when a leaf is full.

Each write compares the number of facts in the leaf, so nothing is added twice, not even by a paused
projector that wakes up. Full leaves and their nodes never change.
Next: projector/checkpoints.py
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from bson.int64 import Int64
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from storelog.documents.ledgers import (
    FAN_OUT,
    LEAF_FACTS,
    LEAF_LINES,
    LEDGER,
    MAX_LEVEL,
    NODES,
    Fact,
    facts_of_leaf,
    is_full,
    leaf_node,
    pack_facts,
    parent_node,
)
from storelog.projector.checkpoints import Fenced
from storelog.projector.write.transaction import BatchTransaction

Document = dict[str, Any]


class LedgerWriter:
    """One lane's ledger; `leaf` is the number of the leaf that is being filled."""

    def __init__(
        self, database: Database[Document], lane: int, leaf: int, transaction: BatchTransaction
    ) -> None:
        self._leaves, self._nodes = database[LEDGER], database[NODES]
        self._lane = lane
        self._transaction = transaction
        self.leaf = leaf
        self._facts: list[Fact] = []
        self._before: list[Fact] = []
        self._load()
        self._position = max((fact.position for fact in self._before + self._facts), default=0)

    def _load(self) -> None:
        """Read the leaf that is being filled; the checkpoint may lag behind it."""
        if self.leaf > 0:
            self._before = self._read(self.leaf - 1)
        while facts := self._read(self.leaf):
            self._facts = facts
            # A repaired leaf may hold fewer facts than others; it is full if another one follows.
            if not is_full(facts) and not self._read(self.leaf + 1):
                return
            self._close()

    def _read(self, leaf: int) -> list[Fact]:
        name = {"_id": f"{self._lane}/{leaf}"}
        found = self._leaves.find_one(name, session=self._transaction.session)
        return [] if found is None else list(facts_of_leaf(found))

    def write(self, facts: Iterable[Fact], *, are_late: bool = False) -> None:
        """Add facts, each once. Raises Fenced and PyMongoError.

        `are_late`: they waited as dead letters, so one below the last position is not a repeat,
        unless the newest leaves have it already.
        """
        known = {fact.position for fact in self._before + self._facts} if are_late else set()
        left = [
            fact
            for fact in facts
            if fact.position > self._position or (are_late and fact.position not in known)
        ]
        while left:
            count = self._room(left)
            self._push(left[:count])
            left = left[count:]
            if is_full(self._facts):
                self._close()

    def _room(self, facts: list[Fact]) -> int:
        """Return how many of the facts go into this leaf; the last one may exceed its size."""
        lines = sum(len(fact.lines) for fact in self._facts)
        for count, fact in enumerate(facts, 1):
            lines += len(fact.lines)
            if lines >= LEAF_LINES or len(self._facts) + count >= LEAF_FACTS:
                return count
        return len(facts)

    def _push(self, facts: list[Fact]) -> None:
        position = max(self._position, *(fact.position for fact in facts))
        name, count = f"{self._lane}/{self.leaf}", len(self._facts)
        chunk, now = pack_facts(facts), count + len(facts)
        if count == 0:
            leaf = {"_id": name, "lane": self._lane, "count": now, "chunks": [chunk]}
            try:
                with self._transaction.step() as session:
                    self._leaves.insert_one({**leaf, "position": Int64(position)}, session=session)
            except DuplicateKeyError as error:
                raise Fenced(f"ledger {name}") from error
        else:
            fields = {"count": now, "position": Int64(position)}
            change = {"$push": {"chunks": chunk}, "$set": fields}
            same = {"_id": name, "count": count}
            with self._transaction.step() as session:
                done = self._leaves.update_one(same, change, session=session)
            if done.matched_count == 0:
                raise Fenced(f"ledger {name}")
        self._facts += facts
        self._position = position

    def _close(self) -> None:
        """Write the node of the full leaf, and those above that are complete; begin a new leaf."""
        self._insert(leaf_node(self._lane, self.leaf, self._facts))
        done = self.leaf + 1
        for level in range(1, MAX_LEVEL + 1):
            if done % FAN_OUT**level:
                break
            index = done // FAN_OUT**level - 1
            self._insert(self._parent(level, index))
        self.leaf, self._before, self._facts = done, self._facts, []

    def _parent(self, level: int, index: int) -> Document:
        below = range(index * FAN_OUT, (index + 1) * FAN_OUT)
        children = [self._node(level - 1, number) for number in below]
        return parent_node(self._lane, level, index, children)

    def _node(self, level: int, index: int) -> Document:
        """Return a node; make it again from those below if it is missing."""
        name = {"_id": f"{self._lane}/{level}/{index}"}
        found = self._nodes.find_one(name, session=self._transaction.session)
        if found is not None:
            return found
        made = (
            self._parent(level, index) if level else leaf_node(self._lane, index, self._read(index))
        )
        self._insert(made)
        return made

    def _insert(self, node: Document) -> None:
        # A node that was written before a crash is the same, since full leaves never change.
        with suppress(DuplicateKeyError), self._transaction.step() as session:
            self._nodes.insert_one(stored(node), session=session)


def stored(node: Document) -> Document:
    """Return a node with its numbers as 64-bit integers."""
    kept: Document = {}
    for name, value in node.items():
        if isinstance(value, dict):
            kept[name] = stored(value)
        else:
            kept[name] = Int64(value) if type(value) is int else value
    return kept
