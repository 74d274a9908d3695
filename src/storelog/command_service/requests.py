"""From a request's JSON to a command: every limit of the contract, every error with its pointer.

Nothing is guessed or coerced; all errors of a body are found before it is refused.
Next: domain/order.py
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from storelog.domain.customer import CreateCustomer
from storelog.domain.order import (
    EARLIEST_ORDER_DATE,
    LATEST_ORDER_DATE,
    MAX_LINES,
    OrderLine,
    PlaceOrder,
)
from storelog.domain.product import MAX_STOCK, AdjustStock, UpdateProduct
from storelog.envelope import milliseconds, parse_milliseconds, to_moment
from storelog.errors import InvalidFields
from storelog.web.json_body import Number

MAX_QUANTITY = 1_000_000
MAX_PRICE = Decimal(9_999_999_999)
MAX_ID = 2**63 - 1
_MONEY = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+(\.0+)?")
# Of a class of characters: controls, ends of lines, and what has no width, such as U+200B.
UNSEEN = (
    r"\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
)
# The same: the blanks, dots and hyphens of every width that people write or paste between digits.
BETWEEN_DIGITS = (
    r"- \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000.\xad\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
)
_UNSEEN = re.compile(f"[{UNSEEN}]")
_BETWEEN_DIGITS = re.compile(f"[{BETWEEN_DIGITS}]")
_BRACKETS = dict.fromkeys(map(ord, "()[]"), "")
_TRUNK_ZERO = re.compile(r"^([(\[]?(?:\+|00)?[(\[]?[1-9][0-9]{0,2}[)\]]?)[(\[]0[)\]]")
_PHONE_NUMBER = re.compile(r"\+[0-9]{1,14}|[0-9]{1,15}")
_MISSING = object()
Check = Callable[[Any], Any]
Errors = list[tuple[str, str]]


class _Wrong(Exception):
    """What is wrong with one value."""


class Fields:
    """Reads the members of one JSON object; what is wrong is collected in `errors`."""

    def __init__(self, value: Any, allowed: set[str], errors: Errors, at: str = "") -> None:
        self._errors = errors
        self._at = at
        self._value: Mapping[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            errors.append((at, "must be an object"))
        for name in self._value.keys() - allowed:
            escaped = name.replace("~", "~0").replace("/", "~1")
            errors.append((f"{at}/{escaped}", "is not known here or may not be set"))

    def take(self, name: str, check: Check, default: Any = _MISSING) -> Any:
        """Return the checked member, the default where it is absent, or None if it is wrong."""
        if name not in self._value and default is not _MISSING:
            return default
        try:
            if name not in self._value:
                raise _Wrong("is required")
            return check(self._value[name])
        except _Wrong as wrong:
            self._errors.append((f"{self._at}/{name}", str(wrong)))
            return None


def text(low: int, high: int) -> Check:
    """Check a text of `low` to `high` characters (code points) without NUL."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or isinstance(value, Number):
            raise _Wrong("must be a string")
        if not low <= len(value) <= high:
            raise _Wrong(f"must have {low} to {high} characters")
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise _Wrong("must not hold U+0000 or a lone surrogate")
        return value

    return check


def integer(low: int, high: int) -> Check:
    """Check a whole number from `low` to `high`."""

    def check(value: Any) -> int:
        if not isinstance(value, Number) or not _INTEGER.fullmatch(value):
            raise _Wrong("must be a whole number")
        number = int(value.partition(".")[0][:40])
        if not low <= number <= high:
            raise _Wrong(f"must be from {low} to {high}")
        return number

    return check


def price(value: Any) -> Decimal:
    """Check an amount of money from 0 to 9999999999 with at most 4 places."""
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise _Wrong('must be an amount: a number, or a string such as "4.25"')
    if len(value) > 40:
        raise _Wrong("must have at most 40 characters")
    amount = Decimal(value)
    if not 0 <= amount <= MAX_PRICE:
        raise _Wrong(f"must be from 0 to {MAX_PRICE}")
    if amount != round(amount, 4):
        raise _Wrong("must have at most 4 decimal places")
    return abs(amount)


def email(value: Any) -> str:
    """Check an e-mail address: 3 to 254 characters, one @ with something on both sides of it."""
    address: str = text(3, 254)(value)
    name, _, domain = address.partition("@")
    if address.count("@") != 1:
        raise _Wrong("must have one @")
    if not name or not domain:
        raise _Wrong("must have something before and after the @")
    if address != address.strip() or _UNSEEN.search(address):
        raise _Wrong(
            "must not begin or end with a blank, or hold a line break or an invisible character"
        )
    return address


def phone_number(value: Any) -> str | None:
    """Return a phone number without what people write between its digits, or None for null.

    At most 15 characters are left: digits, after one + or none.
    """
    if value is None:
        return None
    if not isinstance(value, str) or isinstance(value, Number):
        raise _Wrong("must be a string or null")
    # The 0 in brackets is dialled inside the country only.
    number = _TRUNK_ZERO.sub(r"\1", _BETWEEN_DIGITS.sub("", value)).translate(_BRACKETS)
    if value and not _PHONE_NUMBER.fullmatch(number):
        raise _Wrong("must have digits only, after one + or none, and at most 15 characters")
    return number


def order_date(value: Any) -> datetime:
    """Check an RFC 3339 time of the years 1900 to 2999; it is cut to milliseconds."""
    try:
        at = parse_milliseconds(value if isinstance(value, str) else "")
    except ValueError:
        raise _Wrong('must be a time such as "2026-01-02T03:04:05.678Z"') from None
    if not milliseconds(EARLIEST_ORDER_DATE) <= at <= milliseconds(LATEST_ORDER_DATE):
        raise _Wrong("must be from 1900-01-01 to 2999-12-31")
    return to_moment(at)


def _refuse(errors: Errors) -> None:
    if errors:
        raise InvalidFields(errors)


def read_customer(body: Any) -> CreateCustomer:
    """Return the customer that a body describes, with id 0. Raises InvalidFields."""
    errors: Errors = []
    fields = Fields(body, {"name", "email", "phoneNumber"}, errors)
    name = fields.take("name", text(1, 200))
    address = fields.take("email", email)
    phone = fields.take("phoneNumber", phone_number, None)
    _refuse(errors)
    return CreateCustomer(0, name, address, phone)


def read_product(body: Any, *, needs_stock: bool) -> UpdateProduct:
    """Return the product that a body describes, with id 0. Raises InvalidFields."""
    errors: Errors = []
    fields = Fields(body, {"name", "price", "stock"}, errors)
    name = fields.take("name", text(1, 200))
    amount = fields.take("price", price)
    stock = fields.take("stock", integer(0, MAX_STOCK), _MISSING if needs_stock else None)
    _refuse(errors)
    return UpdateProduct(0, name, amount, stock)


def read_adjustment(body: Any) -> AdjustStock:
    """Return the stock adjustment that a body describes, with id 0. Raises InvalidFields."""
    errors: Errors = []
    fields = Fields(body, {"delta", "reason"}, errors)
    delta = fields.take("delta", integer(-MAX_STOCK, MAX_STOCK))
    reason = fields.take("reason", text(1, 200))
    _refuse(errors)
    return AdjustStock(0, delta, reason)


def read_order(body: Any) -> tuple[PlaceOrder, bool]:
    """Return the order that a body describes, and whether it says what only an import may say.

    Raises InvalidFields.
    """
    errors: Errors = []
    fields = Fields(body, {"customerId", "orderItems", "orderDate"}, errors)
    customer_id = fields.take("customerId", integer(1, MAX_ID))
    placed_at = fields.take("orderDate", order_date, None)
    lines, has_prices = fields.take("orderItems", lambda v: _read_lines(v, errors)) or ((), False)
    _refuse(errors)
    command = PlaceOrder(0, customer_id, lines, (), placed_at)
    return command, has_prices or placed_at is not None


_PRODUCT_ID = integer(1, MAX_ID)
_QUANTITY = integer(1, MAX_QUANTITY)


def _read_lines(value: Any, errors: Errors) -> tuple[tuple[OrderLine, ...], bool]:
    if not isinstance(value, list):
        raise _Wrong("must be an array")
    if not 1 <= len(value) <= MAX_LINES:
        raise _Wrong(f"must have 1 to {MAX_LINES} lines")
    lines = []
    for index, item in enumerate(value):
        fields = Fields(item, {"productId", "quantity", "price"}, errors, f"/orderItems/{index}")
        product_id = fields.take("productId", _PRODUCT_ID)
        quantity = fields.take("quantity", _QUANTITY)
        lines.append(OrderLine(product_id, quantity, fields.take("price", price, None)))
    return tuple(lines), any(line.price is not None for line in lines)
