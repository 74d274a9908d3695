"""Every field's limits on both sides: what is read is exactly what the OpenAPI schemas allow."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from msgspec import Struct

from storelog.command_service import requests
from storelog.command_service.schemas import SCHEMAS
from storelog.errors import InvalidFields, Malformed
from storelog.shop.customer import NewCustomer
from storelog.shop.kinds import MAX_STOCK
from storelog.shop.order import NewOrder
from storelog.shop.product import ChangedProduct, NewProduct, StockAdjustment
from storelog.web.json_body import read_json

STRUCTURES: tuple[type[Struct], ...] = (
    NewCustomer,
    NewProduct,
    ChangedProduct,
    StockAdjustment,
    NewOrder,
)
READERS = {each.__name__: partial(requests.read, each) for each in STRUCTURES}
GOOD: dict[str, dict[str, Any]] = {
    "NewCustomer": {"name": "Ann", "email": "a@b", "phoneNumber": None},
    "NewProduct": {"name": "Cake stand", "price": "12.75", "stock": 1},
    "ChangedProduct": {"name": "Cake stand", "price": "12.75", "stock": 1},
    "StockAdjustment": {"delta": 1, "reason": "found"},
    "NewOrder": {"customerId": 1, "orderItems": [{"productId": 1, "quantity": 1}]},
}


def is_read(name: str, body: Any) -> bool:
    try:
        READERS[name](read_json(json.dumps(body).encode(), "application/json"))
    except InvalidFields:
        return False
    return True


def pattern(_: Any, wanted: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    """Check a pattern as ECMA-262 means it, where `$` is the very end, not before a line break."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", wanted), value):
        yield ValidationError(f"{value!r} does not match {wanted!r}")


VALIDATOR = extend(Draft202012Validator, {"pattern": pattern})


def is_allowed(name: str, body: Any) -> bool:
    return bool(VALIDATOR(SCHEMAS[name]).is_valid(body))


def edges(*numbers: int) -> st.SearchStrategy[int]:
    return st.sampled_from([n + d for n in numbers for d in (-1, 0, 1)])


lengths = st.sampled_from([0, 1, 2, 3, 14, 15, 16, 199, 200, 201, 253, 254, 255])
characters = st.sampled_from(
    ["a", "é", "\U0001f600", "\u202e", "\u200b", "\xa0", " ", "@", "\n", "\0"]
)
texts = st.builds(lambda n, c: c * n, lengths, characters)
emails = st.builds(lambda n, at: ("x" * n + "@" * at)[-300:], lengths, st.integers(0, 2))
whole = edges(0, 1, 15, 1_000_000, MAX_STOCK, -MAX_STOCK, 2**31, 2**63 - 1, 2**64)
anything = st.one_of(
    texts, emails, whole, st.booleans(), st.none(), st.just([]), st.just({}), st.just(1.5)
)


@pytest.mark.parametrize("name", sorted(READERS))
@given(data=st.data())
def test_what_is_read_is_what_the_schema_allows(name: str, data: st.DataObject) -> None:
    body = dict(GOOD[name])
    fields = sorted(body.keys() - {"price", "orderItems"})
    field = data.draw(st.sampled_from(fields))
    match data.draw(st.sampled_from(["set", "drop", "add"])):
        case "set":
            body[field] = data.draw(anything)
        case "drop":
            del body[field]
        case "add":
            body[data.draw(st.sampled_from(["stockStatus", "customerName", "$set", "a.b"]))] = 1
    assert is_read(name, body) == is_allowed(name, body), body


@given(product=whole, quantity=whole)
def test_an_order_line_is_what_the_schema_allows(product: int, quantity: int) -> None:
    body = {"customerId": 1, "orderItems": [{"productId": product, "quantity": quantity}]}
    assert is_read("NewOrder", body) == is_allowed("NewOrder", body)


@pytest.mark.parametrize("count", [0, 1, 2_000, 2_001])
def test_an_order_has_1_to_2000_lines(count: int) -> None:
    body = {"customerId": 1, "orderItems": [{"productId": 1, "quantity": 1}] * count}
    assert is_read("NewOrder", body) == is_allowed("NewOrder", body) == (1 <= count <= 2_000)


@pytest.mark.parametrize("length", [999, 1_000, 1_001])
def test_a_phone_number_is_typed_in_as_many_characters_as_the_schema_allows(length: int) -> None:
    body = GOOD["NewCustomer"] | {"phoneNumber": "1" + " " * (length - 1)}
    assert is_read("NewCustomer", body) == is_allowed("NewCustomer", body) == (length <= 1_000)


@pytest.mark.parametrize(
    ("at", "is_good"),
    [
        ("1899-12-31T23:59:59.999Z", False),
        ("1900-01-01T00:00:00Z", True),
        ("2999-12-31T23:59:59.999Z", True),
        ("3000-01-01T00:00:00Z", False),
    ],
)
def test_an_order_is_of_the_years_that_the_schema_allows(at: str, is_good: bool) -> None:
    body = {"customerId": 1, "orderItems": [{"productId": 1, "quantity": 1}], "orderDate": at}
    assert is_read("NewOrder", body) == is_allowed("NewOrder", body) == is_good


@given(st.decimals(-2, Decimal("10000000000.5"), places=6))
@example(Decimal("9999999999"))
@example(Decimal("9999999999.0001"))
@example(Decimal("0.0001"))
@example(Decimal("0.00001"))
@example(Decimal("0.00010"))
@example(Decimal("-0.0001"))
def test_a_price_has_four_places_and_a_limit_as_text_and_as_a_number(amount: Decimal) -> None:
    is_good = 0 <= amount <= 9_999_999_999 and amount == round(amount, 4)
    for text in (f'"{amount:f}"', f"{amount:f}"):
        body = f'{{"name": "x", "price": {text}, "stock": 1}}'.encode()
        parsed = read_json(body, "application/json")
        if is_good:
            assert requests.read(NewProduct, parsed).price == amount
        else:
            with pytest.raises(InvalidFields):
                requests.read(NewProduct, parsed)


digits = st.from_regex(
    r"-?(0{0,40}|9{8,11}|[0-9]{1,11})(\.(0{1,6}|[0-9]{1,6})0{0,30})?", fullmatch=True
)


@given(digits)
@example("9999999999")
@example("9999999999.0000")
@example("9999999999.0001")
@example("09999999999.5")
@example("10000000000")
@example("-0.00")
@example("-0.0001")
@example("1.00000")
@example("1.00010")
@example("1.00001")
@example("0" * 39 + "1")
@example("0" * 40 + "1")
@example(".5")
@example("")
def test_a_price_as_text_is_what_the_schema_allows(price: str) -> None:
    body = GOOD["NewProduct"] | {"price": price}
    assert is_read("NewProduct", body) == is_allowed("NewProduct", body), price


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(raw: bytes) -> None:
    try:
        parsed = read_json(raw, "application/json")
    except Malformed:
        return
    for read in READERS.values():
        try:
            read(parsed)
        except InvalidFields as refusal:
            json.dumps(refusal.facts)
