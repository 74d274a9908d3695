"""What each kind of field allows: a check takes a member's JSON value, and returns the field's.

Nothing is guessed or coerced beyond what the reference says of a kind.
Next: command_service/requests.py
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, assert_never

from storelog.envelope import milliseconds, parse_milliseconds, to_moment
from storelog.shop.characters import BETWEEN_DIGITS, UNSEEN, UNSEEN_BEYOND
from storelog.shop.fields import Field
from storelog.shop.kinds import (
    Amount,
    Choice,
    EmailAddress,
    Flag,
    Instant,
    Kind,
    Lines,
    Money,
    PhoneNumber,
    Text,
    Time,
    Whole,
)
from storelog.web.json_body import Number

_MONEY = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+(\.0+)?")
# Beyond every limit's digits: a longer number is cut, since `int` takes quadratic time.
_LONG = 40
_UNSEEN = re.compile(f"[{UNSEEN}{UNSEEN_BEYOND}]")
_BETWEEN_DIGITS = re.compile(f"[{BETWEEN_DIGITS}]")
_BRACKETS = dict.fromkeys(map(ord, "()[]"), "")
_TRUNK_ZERO = re.compile(r"^([(\[]?(?:\+|00)?[(\[]?[1-9][0-9]{0,2}[)\]]?)[(\[]0[)\]]")
Check = Callable[[Any], Any]


class Invalid(Exception):
    """One value is invalid; the text says why."""


def text(low: int, high: int) -> Check:
    """Check a text of `low` to `high` characters (code points) without NUL."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or isinstance(value, Number):
            raise Invalid("must be a string")
        if not low <= len(value) <= high:
            raise Invalid(f"must have {low} to {high} characters")
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise Invalid("must not hold U+0000 or a lone surrogate")
        return value

    return check


def integer(low: int, high: int) -> Check:
    """Check a whole number from `low` to `high`."""

    def check(value: Any) -> int:
        if not isinstance(value, Number):
            raise Invalid("must be a whole number")
        if value.isdecimal() and len(value) < _LONG:
            number = int(value)
        elif _INTEGER.fullmatch(value):
            number = int(value.partition(".")[0][:_LONG])
        else:
            raise Invalid("must be a whole number")
        if not low <= number <= high:
            raise Invalid(f"must be from {low} to {high}")
        return number

    return check


def amount(kind: Amount) -> Check:
    """Check an amount of money from 0 to the kind's highest, with at most its places."""

    def check(value: Any) -> Money:
        if not isinstance(value, str) or not _MONEY.fullmatch(value):
            raise Invalid('must be an amount: a number, or a string such as "4.25"')
        if len(value) > kind.written:
            raise Invalid(f"must have at most {kind.written} characters")
        number = Decimal(value)
        if not 0 <= number <= kind.highest:
            raise Invalid(f"must be from 0 to {kind.highest}")
        if number != round(number, kind.places):
            raise Invalid(f"must have at most {kind.places} decimal places")
        return Money(abs(number))

    return check


def email(kind: EmailAddress) -> Check:
    """Check an e-mail address: of the kind's length, one @ with something on both sides of it."""
    check_text = text(kind.shortest, kind.longest)

    def check(value: Any) -> str:
        address: str = check_text(value)
        name, _, domain = address.partition("@")
        if address.count("@") != 1:
            raise Invalid("must have one @")
        if not name or not domain:
            raise Invalid("must have something before and after the @")
        if address != address.strip() or _UNSEEN.search(address):
            raise Invalid(
                "must not begin or end with a blank, or hold a line break or an invisible character"
            )
        return address

    return check


def phone_number(kind: PhoneNumber) -> Check:
    """Return the check of a phone number, which removes what people write between its digits.

    What remains is at most as long as the kind allows: digits, after one + or none.
    """
    most = kind.longest
    cleaned = re.compile(rf"\+[0-9]{{1,{most - 1}}}|[0-9]{{1,{most}}}")

    def check(value: Any) -> str:
        if not isinstance(value, str) or isinstance(value, Number):
            raise Invalid("must be a string or null")
        if len(value) > kind.typed:
            raise Invalid(f"must have at most {kind.typed} characters as it is typed")
        # A 0 in brackets is dialled only within the country, so it is no part of the number.
        number = _TRUNK_ZERO.sub(r"\1", _BETWEEN_DIGITS.sub("", value)).translate(_BRACKETS)
        if value and not cleaned.fullmatch(number):
            raise Invalid(
                f"must have digits only, after one + or none, and at most {most} characters"
            )
        return number

    return check


def instant(kind: Instant) -> Check:
    """Check an RFC 3339 time from the kind's earliest to its latest; it is cut to milliseconds."""
    earliest, latest = milliseconds(kind.earliest), milliseconds(kind.latest)
    days = f"{kind.earliest:%Y-%m-%d} to {kind.latest:%Y-%m-%d}"

    def check(value: Any) -> Time:
        try:
            at = parse_milliseconds(value if isinstance(value, str) else "")
        except ValueError:
            raise Invalid('must be a time such as "2026-01-02T03:04:05.678Z"') from None
        if not earliest <= at <= latest:
            raise Invalid(f"must be from {days}")
        return Time.of(to_moment(at))

    return check


def check_of(field: Field) -> Check:
    """Return the check of a declared field, which lets null through where the field is nullable."""
    check = _check_of_kind(field.kind)
    return (lambda value: None if value is None else check(value)) if field.is_nullable else check


def _check_of_kind(kind: Kind) -> Check:
    match kind:
        case Whole():
            return integer(kind.lowest, kind.highest)
        case Text():
            return text(kind.shortest, kind.longest)
        case Amount():
            return amount(kind)
        case EmailAddress():
            return email(kind)
        case PhoneNumber():
            return phone_number(kind)
        case Instant():
            return instant(kind)
        case Flag() | Choice() | Lines():
            raise TypeError(f"no request has a {type(kind).__name__}")
        case _:
            assert_never(kind)
