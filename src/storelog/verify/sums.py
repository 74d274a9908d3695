"""Adds facts up to the tree of sums: verify's own addition, in the plainest code.

A full leaf has a node over it, and every four nodes have one above them, up to the highest level.
Next: verify/ledger.py
"""

from collections.abc import Iterable
from typing import Any

from bson.int64 import Int64

from storelog.documents.ledgers import (
    DAY_MS,
    FAN_OUT,
    LEAF_FACTS,
    LEAF_LINES,
    MAX_LEVEL,
    Fact,
    pack_sums,
)

Document = dict[str, Any]
Sums = dict[int, list[int]]


class Face:
    """The sums of sales, or of deletions, by day, product and customer."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.sums: dict[str, Sums] = {"day": {}, "product": {}, "customer": {}}

    def add(self, fact: Fact) -> None:
        """Add a fact; a deletion subtracts."""
        units = sum(line[1] for line in fact.lines)
        amount = sum(line[2] for line in fact.lines)
        self.times.append(fact.at_ms)
        self._add("day", fact.at_ms // DAY_MS, [units, amount, 1], fact.sign)
        self._add("customer", fact.customer, [units, amount, 1], fact.sign)
        for product, line_units, line_amount in fact.lines:
            self._add("product", product, [line_units, line_amount, 1], fact.sign)

    def merge(self, other: "Face") -> None:
        """Add the sums of another face."""
        self.times = [min(self.times + other.times), max(self.times + other.times)]
        for kind, sums in other.sums.items():
            for key, entry in sums.items():
                self._add(kind, key, entry, 1)

    def _add(self, kind: str, key: int, entry: list[int], sign: int) -> None:
        total = self.sums[kind].setdefault(key, [0, 0, 0])
        for place, number in enumerate(entry):
            total[place] += sign * number


class Node:
    """The sums that a node over some facts must have."""

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._faces: dict[str, Face] = {}

    def add(self, fact: Fact) -> None:
        """Add one fact below the node."""
        self._positions.append(fact.position)
        name = "sales" if fact.sign > 0 else "returns"
        self._faces.setdefault(name, Face()).add(fact)

    def merge(self, other: "Node") -> None:
        """Add a node of the level below."""
        positions = self._positions + other._positions
        self._positions = [min(positions), max(positions)]
        for name, face in other._faces.items():
            self._faces.setdefault(name, Face()).merge(face)

    def document(self, name: str) -> Document:
        """Return the node as MongoDB must have it."""
        document: Document = {
            "_id": name,
            "minPosition": Int64(min(self._positions)),
            "maxPosition": Int64(max(self._positions)),
        }
        for face_name, face in self._faces.items():
            document[face_name] = {
                "minAt": Int64(min(face.times)),
                "maxAt": Int64(max(face.times)),
                **{kind: pack_sums(sums) for kind, sums in face.sums.items()},
            }
        return document


class Tree:
    """The nodes of one lane, as its leaves become full."""

    def __init__(self, lane: int) -> None:
        self._lane = lane
        self._open: dict[int, Node] = {}
        self.leaves = 0

    def add_leaf(self, facts: Iterable[Fact]) -> list[Document]:
        """Add the next full leaf; return the nodes that it completes."""
        node = Node()
        for fact in facts:
            node.add(fact)
        documents = [node.document(f"{self._lane}/0/{self.leaves}")]
        self.leaves += 1
        for level in range(1, MAX_LEVEL + 1):
            above = self._open.setdefault(level, Node())
            above.merge(node)
            if self.leaves % FAN_OUT**level:
                break
            index = self.leaves // FAN_OUT**level - 1
            documents.append(above.document(f"{self._lane}/{level}/{index}"))
            node = self._open.pop(level)
        return documents


def is_full(facts: Iterable[Fact]) -> bool:
    """Tell whether a leaf is full."""
    some = list(facts)
    return len(some) >= LEAF_FACTS or sum(len(fact.lines) for fact in some) >= LEAF_LINES
