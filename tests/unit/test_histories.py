"""Where closed buckets begin: a few are named, and what holds a position is found by them.

And which entities have buckets at all.
"""

import json
from datetime import UTC
from itertools import pairwise
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from storelog.documents.forms import body_of, fields_of_facts
from storelog.documents.histories import KEPT, MAX_STARTS, add_start, list_starts, starts_around
from storelog.shop.events import CUSTOMER, PRODUCT
from storelog.shop.fields import fields_of
from storelog.shop.json_values import shown
from storelog.shop.kinds import Money, Time
from storelog.shop.order import Order, OrderItem


def starts_of(begins: list[tuple[int, int]]) -> bytes:
    starts = b""
    for number, position in begins:
        starts = add_start(starts, number, position)
    return starts


@pytest.mark.parametrize("count", [0, 1, 128, 129, 130, 256, 257, 62_500])
def test_so_many_starts_are_kept_at_most_and_they_lie_even(count: int) -> None:
    kept = list_starts(starts_of([(number, 10 * number + 3) for number in range(count)]))
    assert min(count, MAX_STARTS // 2) <= len(kept) <= MAX_STARTS
    assert kept[:1] == [(0, 3)][:count]
    apart = {later - earlier for (earlier, _), (later, _) in pairwise(kept)}
    assert len(apart) <= 1
    assert count == 0 or kept[-1][0] + max(apart, default=1) >= count
    assert all(position == 10 * number + 3 for number, position in kept)


# A bucket is missing where the event that would have begun it was discarded.
BEGINS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 99)), max_size=600)


@given(BEGINS, st.data())
def test_the_starts_around_a_position_are_the_nearest_of_those_that_are_kept(
    steps: list[tuple[int, int]], data: Any
) -> None:
    begins, number, position = [], 0, 0
    for by, further in steps:
        number, position = number + by, position + further
        begins.append((number, position))
    starts = starts_of(begins)
    kept = list_starts(starts)
    assert set(kept) <= set(begins)
    assert len(kept) <= MAX_STARTS
    asked = data.draw(st.integers(0, position + 1))
    below = [start for start in kept if start[1] <= asked]
    above = [start for start in kept if start[1] > asked]
    assert starts_around(starts, asked) == (max(below, default=None), min(above, default=None))


def test_what_changes_has_a_history_of_its_own_and_what_only_begins_and_ends_has_none() -> None:
    assert KEPT == (CUSTOMER, PRODUCT)


def test_what_a_history_says_of_lines_is_what_the_document_has() -> None:
    line = OrderItem(9, 5, "Lamp", 3, Money("0.425"))
    order = Order(2, Time(2026, 1, 31, tzinfo=UTC), 1, (line,), Money("1.28"))
    facts = {field.json: shown(getattr(order, field.name)) for field in fields_of(Order)}
    document = {"_id": Int64(2), **fields_of_facts(Order, json.loads(json.dumps(facts)))}
    assert body_of(Order, document) == facts
    assert document["orderItems"][0]["price"] == Decimal128("0.425")
