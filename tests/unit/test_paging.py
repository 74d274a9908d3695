"""Cursors: bound to their list and filters, and rejected when they are anything else."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storelog.envelope import milliseconds, to_moment
from storelog.errors import InvalidFields
from storelog.query_service.paging.keyset import make_cursor, read_cursor

FILTERS = {"list": "orders", "customerId": 5}


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=3))
def test_a_cursor_gives_back_its_key(key: list[int]) -> None:
    assert read_cursor(make_cursor(FILTERS, key), FILTERS, len(key)) == key


def test_a_cursor_of_other_filters_is_rejected() -> None:
    cursor = make_cursor(FILTERS, [1, 2])
    for other in ({"list": "orders"}, {**FILTERS, "customerId": 6}, {**FILTERS, "list": "x"}):
        with pytest.raises(InvalidFields):
            read_cursor(cursor, other, 2)
    with pytest.raises(InvalidFields):
        read_cursor(cursor, FILTERS, 3)


@given(st.text(max_size=60))
def test_any_other_text_is_rejected(text: str) -> None:
    with pytest.raises(InvalidFields):
        read_cursor(text, FILTERS, 2)


@pytest.mark.parametrize("key", [["1", 2], [True, 2], [None, None], [2**63, 1], [1.5, 2]])
def test_a_forged_key_is_rejected(key: list[object]) -> None:
    mark = json.loads(base64.b64decode(make_cursor(FILTERS, [1]) + "=="))[0]
    forged = base64.urlsafe_b64encode(json.dumps([mark, *key]).encode()).decode().rstrip("=")
    with pytest.raises(InvalidFields):
        read_cursor(forged, FILTERS, 2)


def test_moments_are_whole_milliseconds_and_never_out_of_range() -> None:
    at = datetime(2011, 12, 9, 12, 50, 0, 123000, tzinfo=UTC)
    assert to_moment(milliseconds(at)) == at
    assert to_moment(2**63 - 1).year == 9999
    assert to_moment(-(2**63)).year == 1
