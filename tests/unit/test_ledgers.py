"""The ledger's arithmetic: packed and unpacked, summed and summed again, nothing is lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from storelog.documents.ledgers import (
    FAN_OUT,
    KINDS,
    Fact,
    Sums,
    add_fact,
    add_packed,
    leaf_node,
    pack_facts,
    pack_sums,
    parent_node,
    roots,
    unpack_facts,
)

IDS = st.integers(1, 2**63 - 1)
# A line's amount is at most 9999999999.9999 times 1,000,000 units, in ten-thousandths.
LINES = st.lists(st.tuples(IDS, st.integers(1, 2_000_000_000), st.integers(0, 10**20)), max_size=9)
FACTS = st.builds(
    Fact,
    position=IDS,
    sign=st.sampled_from([1, -1]),
    at_ms=st.integers(-(10**13), 10**14),
    customer=IDS,
    lines=LINES.map(tuple),
)


def plain(facts: list[Fact], kind: str) -> Sums:
    sums: Sums = {}
    for fact in facts:
        add_fact(sums, kind, fact)
    return sums


@settings(max_examples=40, deadline=None)
@given(st.lists(FACTS, max_size=8))
def test_packed_facts_are_the_same_facts(facts: list[Fact]) -> None:
    assert list(unpack_facts(pack_facts(facts))) == facts


@settings(max_examples=40, deadline=None)
@given(st.lists(FACTS, max_size=8), st.sampled_from(KINDS))
def test_packed_sums_are_the_same_sums(facts: list[Fact], kind: str) -> None:
    found: Sums = {}
    add_packed(found, pack_sums(plain(facts, kind)))
    assert found == plain(facts, kind)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(FACTS, min_size=1, max_size=3), min_size=FAN_OUT, max_size=FAN_OUT))
def test_a_node_is_the_sum_of_what_is_below_it(leaves: list[list[Fact]]) -> None:
    children = [leaf_node(0, index, facts) for index, facts in enumerate(leaves)]
    node = parent_node(0, 1, 0, children)
    facts = [fact for leaf in leaves for fact in leaf]
    for kind in KINDS:
        found: Sums = {}
        for face in ("sales", "returns"):
            if face in node:
                add_packed(found, node[face][kind])
        assert found == plain(facts, kind)
    assert node["minPosition"] == min(fact.position for fact in facts)
    assert node["maxPosition"] == max(fact.position for fact in facts)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_roots_cover_each_full_leaf_once(leaves: int) -> None:
    covered = [
        leaf
        for level, index in roots(leaves)
        for leaf in range(index * FAN_OUT**level, (index + 1) * FAN_OUT**level)
    ]
    assert covered == list(range(leaves))
