"""What comes in: strict JSON, exact money, every limit, every error with its pointer."""

import asyncio
import json
import threading
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from storelog.command_service import api, requests
from storelog.errors import InvalidFields, Malformed, ProtocolRefusal
from storelog.shop.customer import NewCustomer
from storelog.shop.kinds import Time
from storelog.shop.order import NewOrder, PlaceOrder
from storelog.shop.product import NewProduct
from storelog.web.auth import ANYBODY
from storelog.web.http import Request
from storelog.web.json_body import read_body, read_json
from storelog.web.problems import render

NOBODY: Any = None


def parse(text: str) -> Any:
    return read_json(text.encode(), "application/json")


def pointers(body: Any, structure: type[Struct]) -> list[str]:
    with pytest.raises(InvalidFields) as caught:
        requests.read(structure, parse(body if isinstance(body, str) else json.dumps(body)))
    return [error["pointer"] for error in caught.value.facts["errors"]]


@pytest.mark.parametrize("name", ["\\ud800", "a" * 100_000, "\\u0001" * 9_000])
def test_an_error_names_an_unknown_member_whatever_its_name(name: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        product(f'{{"name":"x","price":1,"stock":1,"{name}":1}}')
    problem = render(caught.value, "/products", "")
    assert problem.status == 422
    assert len(problem.body) < 2_000


def product(body: str) -> Any:
    return requests.read(NewProduct, parse(body))


@given(st.decimals(0, 9_999_999_999, places=4, allow_nan=False))
def test_money_is_read_exactly_as_a_number_and_as_a_string(amount: Decimal) -> None:
    for text in (f"{amount:f}", f'"{amount:f}"'):
        assert product(f'{{"name":"x","price":{text},"stock":1}}').price == amount


@pytest.mark.parametrize(
    "price",
    ["-0.01", "1e3", '"1e3"', '"1_0"', '" 1"', '"1 "', '"NaN"', '"+1"', '"1."', '".5"', '"١"',
     "0.00001", "10000000000", "true", "null", "[]", '""', f'"{"9" * 50}"'],
)  # fmt: skip
def test_an_invalid_amount_is_rejected(price: str) -> None:
    body = f'{{"name":"x","price":{price},"stock":1}}'
    assert pointers(body, NewProduct) == ["/price"]


@pytest.mark.parametrize("stock", ["-1", "2147483648", "1.5", '"1"', "1e2", "true", "null"])
def test_an_invalid_stock_is_rejected(stock: str) -> None:
    body = f'{{"name":"x","price":1,"stock":{stock}}}'
    assert pointers(body, NewProduct) == ["/stock"]


@given(st.text(min_size=1, max_size=200).filter(lambda t: "\0" not in t))
def test_a_name_is_kept_as_it_was_sent(name: str) -> None:
    body = json.dumps({"name": name, "email": "a@b", "phoneNumber": ""})
    if any("\ud800" <= c <= "\udfff" for c in name):
        return
    assert requests.read(NewCustomer, parse(body)).name == name


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": "a\0b"}, "/name"),
        ({"name": "\ud800"}, "/name"),
        ({"name": 5}, "/name"),
        ({"email": "ab"}, "/email"),
        ({"email": "a.b.c"}, "/email"),
        ({"email": "a@b@c"}, "/email"),
        ({"email": "a@" + "b" * 253}, "/email"),
        ({"phoneNumber": "1" * 16}, "/phoneNumber"),
        ({"phoneNumber": 5}, "/phoneNumber"),
        ({"customerId": 5}, "/customerId"),
        ({"a/b~c": 5}, "/a~1b~0c"),
    ],
)
def test_a_customers_limits(changed: dict[str, Any], pointer: str) -> None:
    body = {"name": "Ann", "email": "a@b.c", "phoneNumber": None} | changed
    assert pointers(body, NewCustomer) == [pointer]


def test_all_errors_of_a_body_are_named_at_once() -> None:
    body = {"customerId": 0, "orderItems": [{"productId": 1, "quantity": 0}, 7], "total": 1}
    assert sorted(pointers(body, NewOrder)) == [
        "/customerId",
        "/orderItems/0/quantity",
        "/orderItems/1",
        "/orderItems/1/productId",
        "/orderItems/1/quantity",
        "/total",
    ]


def test_an_order_has_1_to_2000_lines() -> None:
    line = {"productId": 1, "quantity": 1}
    wrong: list[Any] = [[], [line] * 2001, None, {}]
    for lines in wrong:
        assert pointers({"customerId": 1, "orderItems": lines}, NewOrder) == ["/orderItems"]
    body = json.dumps({"customerId": 1, "orderItems": [line] * 2000})
    order = requests.read(NewOrder, parse(body))
    assert len(order.order_items) == 2000
    assert not requests.is_import(order)


def test_a_date_or_a_price_makes_an_order_an_import() -> None:
    line = {"productId": 1, "quantity": 1}
    dated = {"customerId": 1, "orderItems": [line], "orderDate": "2011-01-01T00:00:00.1239Z"}
    order = requests.read(NewOrder, parse(json.dumps(dated)))
    assert requests.is_import(order)
    assert isinstance(order.order_date, Time)
    assert order.order_date.microsecond == 123_000
    priced = {"customerId": 1, "orderItems": [{**line, "price": "1"}]}
    assert requests.is_import(requests.read(NewOrder, parse(json.dumps(priced))))
    for wrong in ("2011-01-01", "2011-01-01T00:00:00", "x", 5, "2011-13-01T00:00:00Z"):
        assert pointers({**dated, "orderDate": wrong}, NewOrder) == ["/orderDate"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b"[1] x", b"\xff", b"\xef\xbb\xbf{}",
     b"[" * 100_000, b"'a'", b'{"a":Infinity}', b'"\t"'],
)  # fmt: skip
def test_what_is_not_one_json_value_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_json(body, "application/json")


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/jsonx", "application/json; charset=latin-1"]
)
def test_only_json_in_utf_8_is_taken(kind: str | None) -> None:
    with pytest.raises(ProtocolRefusal) as caught:
        read_json(b"{}", kind)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("+44 20 7946 0958", "+442079460958"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+44(0)2079460958", "+442079460958"),
        ("(+44) (0) 20-7946-0958", "+442079460958"),
        ("0044 (0)20 7946 0958", "00442079460958"),
        ("44 (0)20 7946 0958", "442079460958"),
        ("(020) 7946 0958", "02079460958"),
        ("(0)20 7946 0958", "02079460958"),
        ("0151-7654321", "01517654321"),
        ("+1 (212) 555-0100", "+12125550100"),
        ("1.212.555.0100", "12125550100"),
        ("+49\u00a0151\u20117654321", "+491517654321"),
        ("[020]\t79460958 ", "02079460958"),
        ("+49\u2002(0)\u3000151\u205f76\u168054321", "+491517654321"),
        ("\u2010".join("1234567890"), "1234567890"),
        ("1\u20122\u20133\u20144\u20155\u22126\xad7\uff0d8", "12345678"),
        ("1" + " " * 200 + "2", "12"),
        ("+12345678901234", "+12345678901234"),
        ("123456789012345", "123456789012345"),
        ("", ""),
        (None, None),
    ],
)
def test_a_phone_number_is_stored_without_what_is_written_between_its_digits(
    typed: str | None, stored: str | None
) -> None:
    for number in (typed, stored):
        body = json.dumps({"name": "x", "email": "a@b", "phoneNumber": number})
        assert requests.read(NewCustomer, parse(body)).phone_number == stored


@pytest.mark.parametrize(
    "phone",
    ["1" * 16, "+" + "1" * 15, "+", "++1", "1+2", "12+", "-", " ", "()", "1a", "ext. 5", "030/123",
     "1\n2", "1\r", "1\0", "\u0661\u0662", "\uff11", "\u00b2", "1,2", "*31#", "(" * 9_000,
     "\u202a+1", "1\u200b2", "1\u20282"],
)  # fmt: skip
def test_an_invalid_phone_number_is_rejected(phone: str) -> None:
    body = {"name": "x", "email": "a@b", "phoneNumber": phone}
    assert pointers(body, NewCustomer) == ["/phoneNumber"]


@pytest.mark.parametrize(
    "address",
    ["@example.com", "ann@", "@@@", " ann@example.com", "ann@example.com ", "ann@example.com\n",
     "\u00a0ann@example.com", "\u3000a@b", "an\nn@example.com", "ann@exa\rmple.com", "a\tb@c.d",
     "a\x7f@b.c", "a\x85b@c.d", "a\u2028b@c.d", "a@b\u2029c", "a\x00@b.c", "a\x1b@b.c",
     "ab", "a@b@c", " @b", "a@ ", "\u200b@b.c", "a@\u2060", "an\u200dn@b.c", "\ufeffa@b.c",
     "a\u202e@b", "a\xad@b.c", "\u2002a@b.c", "a@\u3164", "\u115f@b.c", "a\u2800@b.c",
     "a\ufe0f@b.c", "a\u034f@b.c", "a\uffa0@b.c", "a\U000e0041@b.c", "a@b.c\U000e0020"],
)  # fmt: skip
def test_an_invalid_email_address_is_rejected(address: str) -> None:
    assert pointers({"name": "x", "email": address}, NewCustomer) == ["/email"]


@pytest.mark.parametrize(
    "address", ["a@b", '"a b"@example.com', "s\u00f8ren@b\u00fccher.example", "a.b+c@d"]
)
def test_an_email_address_is_stored_as_it_was_given(address: str) -> None:
    body = json.dumps({"name": "x", "email": address})
    assert requests.read(NewCustomer, parse(body)).email == address


@pytest.mark.parametrize("array", ["1", "{}", '"a"'])
def test_the_event_loop_goes_on_while_a_large_body_is_read(
    array: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, goes_on = threading.Event(), threading.Event()

    def read_when_the_loop_goes_on(request: Request) -> Any:
        began.set()
        assert goes_on.wait(10), "the loop waits for the body"
        return read_body(request)

    monkeypatch.setattr(api, "read_body", read_when_the_loop_goes_on)
    items = ",".join([array] * api.LOOP_BYTES)
    body = f'{{"customerId":1,"orderItems":[{items}]}}'.encode()
    headers = {"content-type": "application/json"}
    request = Request("POST", "/orders", {}, {}, headers, body, ANYBODY, "c")

    async def run() -> None:
        commands = api.CommandApi(NOBODY, None)
        place = commands.creates(PlaceOrder, NewOrder)
        reading = asyncio.ensure_future(place(request))
        assert await asyncio.to_thread(began.wait, 10)
        goes_on.set()
        with pytest.raises(InvalidFields):
            await reading

    asyncio.run(run())


def test_a_body_of_many_arrays_is_malformed_and_brackets_in_texts_are_not() -> None:
    with pytest.raises(Malformed):
        parse("[" + "[]," * 3_000 + "[]]")
    body = {"name": "[" * 200, "email": "a@b", "phoneNumber": "[" * 990 + "1"}
    assert requests.read(NewCustomer, parse(json.dumps(body))).phone_number == "1"
