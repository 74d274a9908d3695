"""Money and times go out as the contract says, for every value."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storelog.envelope import format_time, milliseconds, parse_milliseconds, parse_time
from storelog.shop.money import format_money, round_to_cents


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


@given(st.datetimes(datetime(2, 1, 1), datetime(9999, 1, 1)), st.integers(-1439, 1439))
def test_a_client_s_time_means_the_same_at_any_offset(at: datetime, minutes: int) -> None:
    there = at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_milliseconds(there.isoformat()) == milliseconds(there)
    before = (datetime(1970, 1, 1, tzinfo=UTC) - there) // timedelta(milliseconds=1)
    assert parse_milliseconds(there.isoformat(), round_up=True) == -before


@pytest.mark.parametrize(
    ("text", "cut_off", "rounded_up"),
    [("1970-01-01T00:00:00.0010Z", 1, 1), ("1970-01-01T00:00:00.00100000000001Z", 1, 2),
     ("1970-01-01T00:00:00.9999Z", 999, 1000), ("1969-12-31T23:59:59.9999Z", -1, 0),
     ("1970-01-01t01:00:00.5+01:00", 500, 500), ("1970-01-01T00:00:00.5-00:00", 500, 500)],
)  # fmt: skip
def test_a_finer_time_is_cut_off_or_rounded_up(text: str, cut_off: int, rounded_up: int) -> None:
    assert parse_milliseconds(text) == cut_off
    assert parse_milliseconds(text, round_up=True) == rounded_up
