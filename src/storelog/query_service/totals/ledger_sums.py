"""The totals, exact to the millisecond and the position: sums of nodes inside, of facts at edges.

Nodes of the ledger that lie wholly within the range and at or below the position are added as they
are. A node that is cut by an edge is replaced by the four below it, and the facts of a cut leaf are
checked one by one. So a read needs a few nodes of each level, however long the history is.
Next: documents/ledgers.py
"""

from collections.abc import Iterable
from dataclasses import dataclass

from storelog.documents.ledgers import (
    FAN_OUT,
    LEDGER,
    NODES,
    Sums,
    add_fact,
    add_packed,
    facts_of_leaf,
    roots,
)
from storelog.query_service.http.parameters import Range
from storelog.query_service.positions.view import Document, View

_Node = tuple[int, int, int]
_INSIDE, _OUTSIDE, _CUT = "inside", "outside", "cut"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The wanted sums: by which kind of key, in [start, end) in milliseconds, up to a position."""

    kind: str
    start: int | None
    end: int | None
    position: int

    def overlap(self, node: Document, name: str) -> str:
        """Tell whether a node's sales or returns lie inside, outside, or are cut."""
        if name not in node or node["minPosition"] > self.position:
            return _OUTSIDE
        low, high = node[name]["minAt"], node[name]["maxAt"]
        if (self.end is not None and low >= self.end) or (
            self.start is not None and high < self.start
        ):
            return _OUTSIDE
        is_late = self.end is None or high < self.end
        is_early = self.start is None or low >= self.start
        is_whole = is_early and is_late and node["maxPosition"] <= self.position
        return _INSIDE if is_whole else _CUT


async def sums(view: View, kind: str, span: Range) -> Sums:
    """Return {day, product or customer: [units, amount, orders]}; days count from 1970."""
    wanted = _Wanted(kind, span.start_ms, span.end_ms, view.position)
    found: Sums = {}
    # Each node is kept with its parts that must still be added: sales, returns, or both.
    both = ("sales", "returns")
    nodes: dict[_Node, Iterable[str]] = {}
    leaves: dict[tuple[int, int], Iterable[str]] = {}
    for lane, leaf in view.place.leaves:
        leaves[lane, leaf] = both
        nodes |= {(lane, level, index): both for level, index in roots(leaf)}
    while nodes:
        nodes = await _add_nodes(view, wanted, found, nodes, leaves)
    await _add_leaves(view, wanted, found, leaves)
    # A key whose orders were all deleted again has sums of zero and is not shown.
    return {key: entry for key, entry in found.items() if entry[2]}


async def _add_nodes(
    view: View,
    wanted: _Wanted,
    found: Sums,
    nodes: dict[_Node, Iterable[str]],
    leaves: dict[tuple[int, int], Iterable[str]],
) -> dict[_Node, Iterable[str]]:
    """Add one level of nodes; return the children of cut nodes, and add cut leaves to `leaves`."""
    names = {f"{lane}/{level}/{index}": (lane, level, index) for lane, level, index in nodes}
    fields = ["minPosition", "maxPosition"]
    fields += [f"{f}.{n}" for f in ("sales", "returns") for n in ("minAt", "maxAt", wanted.kind)]
    documents = await view.raw(NODES, names, dict.fromkeys(fields, 1))
    below: dict[_Node, Iterable[str]] = {}
    for name, place in names.items():
        node, cut = documents.get(name), list[str]()
        for part in nodes[place]:
            if node is None:
                # The node is missing, but those below it give the same sums.
                cut.append(part)
                continue
            overlap = wanted.overlap(node, part)
            if overlap == _INSIDE:
                add_packed(found, node[part][wanted.kind])
            elif overlap == _CUT:
                cut.append(part)
        lane, level, index = place
        if cut and level == 0:
            leaves[lane, index] = cut
        elif cut:
            children = range(index * FAN_OUT, (index + 1) * FAN_OUT)
            below |= {(lane, level - 1, child): cut for child in children}
    return below


async def _add_leaves(
    view: View,
    wanted: _Wanted,
    found: Sums,
    leaves: dict[tuple[int, int], Iterable[str]],
) -> None:
    documents = await view.raw(LEDGER, [f"{lane}/{leaf}" for lane, leaf in leaves])
    for (lane, leaf), parts in leaves.items():
        # The open leaf does not exist before its first fact.
        document = documents.get(f"{lane}/{leaf}", {"chunks": ()})
        for fact in facts_of_leaf(document):
            is_asked = ("sales" if fact.sign > 0 else "returns") in parts
            is_early = wanted.start is None or fact.at_ms >= wanted.start
            is_late = wanted.end is None or fact.at_ms < wanted.end
            if is_asked and is_early and is_late and fact.position <= wanted.position:
                add_fact(found, wanted.kind, fact)
