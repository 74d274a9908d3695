"""The ledger: what each order event added to the totals, in log order, and sums over stretches.

A lane's ledger is a chain of leaves, each with the packed facts of some hundred orders, and a tree
of nodes over the full leaves. A node sums the four nodes below it by product, customer and day, and
names the positions and times between which they lie. So the totals of any range of time, as of any
position, are the sums of a few nodes that lie wholly inside, and of single facts at the edges.
Full leaves and nodes never change. Amounts are whole ten-thousandths, so they are exact.
Next: projector/write/ledger_writer.py
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

LEDGER, NODES = "ledger", "figures"
# A leaf is full at either number. The event that fills it may exceed it by 2,000 lines.
LEAF_LINES, LEAF_FACTS = 1_024, 256
FAN_OUT = 4
# Nodes above this level, of a million lines and more, would approach the largest document size.
MAX_LEVEL = 5
PLACES = 4
DAY_MS = 86_400_000
KINDS = ("day", "product", "customer")
_IS_RETURN, _IS_WIDE = 1, 2
_HEAD = struct.Struct("<qBqqH")
_NARROW, _WIDE = struct.Struct("<qqq"), struct.Struct("<qqqq")
# Amounts beyond 64 bits are stored in two parts, the quotient and the remainder by this.
_HALF = 10**15
_FITS = 2**63
# A sum of many years can exceed the 28 digits of Python's default context.
_EXACT = Context(prec=60)
Document = dict[str, Any]
Sums = dict[int, list[int]]


@dataclass(frozen=True, slots=True)
class Fact:
    """One order event: `sign` is -1 for a deletion; lines are (product, units, amount)."""

    position: int
    sign: int
    at_ms: int
    customer: int
    lines: tuple[tuple[int, int, int], ...]

    @property
    def units(self) -> int:
        """Units of all lines."""
        return sum(line[1] for line in self.lines)

    @property
    def amount(self) -> int:
        """Exact amount of all lines, in ten-thousandths."""
        return sum(line[2] for line in self.lines)


def pack_facts(facts: Iterable[Fact]) -> bytes:
    """Return facts as a leaf keeps them."""
    parts = []
    for fact in facts:
        is_wide = any(line[2] >= _FITS for line in fact.lines)
        flags = (_IS_RETURN if fact.sign < 0 else 0) | (_IS_WIDE if is_wide else 0)
        head = (fact.position, flags, fact.at_ms, fact.customer, len(fact.lines))
        parts.append(_HEAD.pack(*head))
        if is_wide:
            parts += [_WIDE.pack(p, u, *divmod(amount, _HALF)) for p, u, amount in fact.lines]
        else:
            parts += [_NARROW.pack(*line) for line in fact.lines]
    return b"".join(parts)


def unpack_facts(packed: bytes) -> Iterator[Fact]:
    """Yield packed facts."""
    at = 0
    while at < len(packed):
        position, flags, at_ms, customer, count = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        line = _WIDE if flags & _IS_WIDE else _NARROW
        raw = line.iter_unpack(packed[at : at + count * line.size])
        at += count * line.size
        lines = (
            tuple((p, u, high * _HALF + low) for p, u, high, low in raw)
            if (flags & _IS_WIDE)
            else tuple(raw)
        )
        yield Fact(position, -1 if flags & _IS_RETURN else 1, at_ms, customer, lines)


def facts_of_leaf(leaf: Document) -> Iterator[Fact]:
    """Yield a leaf's facts, in the order in which they were added."""
    for chunk in leaf["chunks"]:
        yield from unpack_facts(chunk)


def add(sums: Sums, key: int, units: int, amount: int, orders: int) -> None:
    """Add to one key's sums: [units, amount, orders]."""
    entry = sums.get(key)
    if entry is None:
        sums[key] = [units, amount, orders]
    else:
        entry[0] += units
        entry[1] += amount
        entry[2] += orders


def add_fact(sums: Sums, kind: str, fact: Fact) -> None:
    """Add a fact to the sums by day, product or customer."""
    sign = fact.sign
    if kind == "product":
        for product, units, amount in fact.lines:
            add(sums, product, sign * units, sign * amount, sign)
    else:
        key = fact.at_ms // DAY_MS if kind == "day" else fact.customer
        add(sums, key, sign * fact.units, sign * fact.amount, sign)


def pack_sums(sums: Sums) -> bytes:
    """Return sums as a node keeps them: in columns, by ascending key."""
    keys = sorted(sums)
    rows = [sums[key] for key in keys]
    amounts = [row[1] for row in rows]
    columns = [keys, [row[0] for row in rows], [row[2] for row in rows]]
    is_wide = any(not -_FITS <= amount < _FITS for amount in amounts)
    if is_wide:
        halves = [divmod(amount, _HALF) for amount in amounts]
        columns += [[high for high, _ in halves], [low for _, low in halves]]
    else:
        columns.append(amounts)
    packed = struct.Struct(f"<{len(keys)}q")
    return bytes([is_wide]) + b"".join(packed.pack(*column) for column in columns)


def add_packed(sums: Sums, packed: bytes) -> None:
    """Add packed sums to sums."""
    is_wide = packed[0]
    count = (len(packed) - 1) // (8 * (5 if is_wide else 4))
    if count == 0:
        return
    column = struct.Struct(f"<{count}q")
    keys, units, orders, amounts, *low = column.iter_unpack(memoryview(packed)[1:])
    if low:
        amounts = tuple(h * _HALF + rest for h, rest in zip(amounts, low[0], strict=True))
    for key, unit, amount, order in zip(keys, units, amounts, orders, strict=True):
        entry = sums.get(key)
        if entry is None:
            sums[key] = [unit, amount, order]
        else:
            entry[0] += unit
            entry[1] += amount
            entry[2] += order


def to_decimal(amount: int) -> Decimal:
    """Return whole ten-thousandths as an exact amount."""
    return Decimal(amount).scaleb(-PLACES, _EXACT)


def is_full(facts: Iterable[Fact]) -> bool:
    """Tell whether a leaf with these facts is full."""
    count = lines = 0
    for fact in facts:
        count, lines = count + 1, lines + len(fact.lines)
    return count >= LEAF_FACTS or lines >= LEAF_LINES


def leaf_node(lane: int, index: int, facts: Iterable[Fact]) -> Document:
    """Return the node over one full leaf."""
    facts = list(facts)
    node: Document = {
        "_id": f"{lane}/0/{index}",
        "minPosition": min(fact.position for fact in facts),
        "maxPosition": max(fact.position for fact in facts),
    }
    # Deletions are summed apart: their orders may be old, and one would stretch the node's range of
    # time so far that few queries could use the node as a whole.
    for name, sign in (("sales", 1), ("returns", -1)):
        some = [fact for fact in facts if fact.sign == sign]
        if some:
            node[name] = _part_of_facts(some)
    return node


def _part_of_facts(facts: list[Fact]) -> Document:
    times = [fact.at_ms for fact in facts]
    part: Document = {"minAt": min(times), "maxAt": max(times)}
    for kind in KINDS:
        sums: Sums = {}
        for fact in facts:
            add_fact(sums, kind, fact)
        part[kind] = pack_sums(sums)
    return part


def parent_node(lane: int, level: int, index: int, children: list[Document]) -> Document:
    """Return the node over four nodes of the level below."""
    node: Document = {
        "_id": f"{lane}/{level}/{index}",
        "minPosition": min(child["minPosition"] for child in children),
        "maxPosition": max(child["maxPosition"] for child in children),
    }
    for name in ("sales", "returns"):
        parts = [child[name] for child in children if name in child]
        if parts:
            node[name] = _part_of_parts(parts)
    return node


def _part_of_parts(parts: list[Document]) -> Document:
    part: Document = {
        "minAt": min(each["minAt"] for each in parts),
        "maxAt": max(each["maxAt"] for each in parts),
    }
    for kind in KINDS:
        sums: Sums = {}
        for each in parts:
            add_packed(sums, each[kind])
        part[kind] = pack_sums(sums)
    return part


def roots(leaves: int) -> list[tuple[int, int]]:
    """Return the largest nodes (level, index) that cover the first `leaves` full leaves."""
    found, start = [], 0
    for level in range(MAX_LEVEL, -1, -1):
        size = FAN_OUT**level
        while start + size <= leaves:
            found.append((level, start // size))
            start += size
    return found
