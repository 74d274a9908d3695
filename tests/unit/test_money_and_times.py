"""Money and times go out as the contract says, for every value."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storelog.domain.money import format_money, round_to_cents
from storelog.envelope import format_time, parse_time


@pytest.mark.parametrize(
    ("amount", "text"),
    [("4.25", "4.25"), ("8.5", "8.50"), ("0.4250", "0.425"), ("0", "0.00"), ("1E+2", "100.00")],
)
def test_money_has_two_places_and_more_only_where_they_say_something(
    amount: str, text: str
) -> None:
    assert format_money(Decimal(amount)) == text


@given(st.decimals(0, Decimal(10) ** 24, places=4, allow_nan=False, allow_infinity=False))
def test_money_keeps_its_value_and_its_form(amount: Decimal) -> None:
    text = format_money(amount)
    assert Decimal(text) == amount
    assert re.fullmatch(r"\d+\.(\d\d|\d\d\d*[1-9])", text)


@pytest.mark.parametrize(
    ("exact", "cents"), [("0.005", "0.00"), ("0.015", "0.02"), ("0.0151", "0.02")]
)
def test_rounding_is_half_even(exact: str, cents: str) -> None:
    assert round_to_cents(Decimal(exact)) == Decimal(cents)


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_times_have_exactly_three_decimals_and_are_cut_not_rounded(at: datetime) -> None:
    text = format_time(at)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert 0 <= (at - parse_time(text)).total_seconds() < 0.001


def test_a_year_has_four_digits() -> None:
    assert format_time(datetime(63, 4, 12, 3, 59, 59, tzinfo=UTC)) == "0063-04-12T03:59:59.000Z"
