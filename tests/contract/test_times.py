"""Times that clients send: one strict form, and any year is served or rejected, never an error."""

from typing import Any
from urllib.parse import quote

import pytest

from support.system import System

DATES = [
    "1900-01-01T00:00:00Z",
    "2999-12-31T23:59:59.999Z",
    "2999-12-31T23:59:59.9999999Z",
    "2026-01-02t03:04:05z",
    "2026-01-02T03:04:05.123456789-00:00",
    "1900-01-01T01:00:00+01:00",
]
OUTSIDE = [
    "1899-12-31T23:59:59.999Z",
    "3000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59.9999999Z",
    "1900-01-01T00:00:00+00:01",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]
NO_TIMES = [
    "2026-01-02T03Z",
    "2026-01-02T03:04Z",
    "2026-01-02T030405Z",
    "20260102T030405Z",
    "2026-01-02T03:04:05,678Z",
    "2026-01-02T03:04:05.Z",
    "2026-01-02T03:04:05",
    "2026-01-02 03:04:05Z",
    "2026-01-02T03:04:60Z",
    "2026-01-02T24:00:00Z",
    "2026-02-29T00:00:00Z",
    "2026-W01-5T00:00:00Z",
    "2026-01-02T03:04:05+0100",
    "2026-01-02T03:04:05+01",
    "2026-01-02T03:04:05+24:00",
    "2026-01-02T03:04:05+01:60",
    "2026-01-02T03:04:05Z ",
    "2026-01-02T03:04:05Z\n",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "\u0662\u0660\u0662\u0666-01-02T03:04:05Z",
    "",
]
RANGES = [
    "to=0001-01-01",
    "from=0001-01-01T00:00:00%2B23:59&to=9999-12-31T23:59:59.9999999-23:59",
    "from=9999-12-31T23:59:59.9999999Z",
    "from=9999-12-31",
    "to=1900-01-01t00:00:00z",
]
LISTS = ["/orders", "/orders?sort=orderDate", "/orders?productId=1", "/product-sold",
         "/product-sold?productId=1", "/product-sold?cancelled=true",
         "/analytics/total-sales", "/analytics/sales-by-day", "/analytics/product-totals",
         "/analytics/top-customers"]  # fmt: skip


def order_of(shop: System, at: Any) -> dict[str, Any]:
    customer = shop.new_customer()["customerId"]
    product = shop.new_product()["productId"]
    lines = [{"productId": product, "quantity": 1}]
    return {"customerId": customer, "orderItems": lines, "orderDate": at}


def test_an_order_is_of_the_years_1900_to_2999(shop: System) -> None:
    made = [shop.commands.post("/orders", order_of(shop, at)) for at in DATES]
    assert [(each.status, each.json.get("orderDate")) for each in made] == [
        (201, "1900-01-01T00:00:00.000Z"),
        (201, "2999-12-31T23:59:59.999Z"),
        (201, "2999-12-31T23:59:59.999Z"),
        (201, "2026-01-02T03:04:05.000Z"),
        (201, "2026-01-02T03:04:05.123Z"),
        (201, "1900-01-01T00:00:00.000Z"),
    ]
    for at in [*OUTSIDE, *NO_TIMES, 5, True, [], {}]:
        refused = shop.commands.post("/orders", order_of(shop, at))
        assert (refused.status, refused.slug, refused.pointers) == (
            422, "invalid-fields", ["/orderDate"],
        ), at  # fmt: skip
    shop.wait_projected()
    found = shop.queries.get("/orders?limit=500")
    assert found.status == 200
    assert found.json["items"][0]["orderDate"] == "2999-12-31T23:59:59.999Z"


def test_a_range_may_be_of_any_year(shop: System) -> None:
    order = shop.commands.post("/orders", order_of(shop, "2011-05-06T07:08:09.123Z"))
    shop.wait_projected(order.position)
    customer, number = order.json["customerId"], order.json["orderId"]
    named = [f"/customers/{customer}/orders", f"/product-sold?orderId={number}"]
    for path in [*LISTS, *named]:
        for span in RANGES:
            joined = "&" if "?" in path else "?"
            reply = shop.queries.get(path + joined + span)
            assert reply.status == 200, (path, span, reply.raw)


@pytest.mark.parametrize("at", NO_TIMES)
def test_an_invalid_time_is_rejected_in_a_range_and_as_a_moment(shop: System, at: str) -> None:
    for name in ("from", "to", "asOf"):
        reply = shop.queries.get(f"/orders?{name}={quote(at)}")
        assert (reply.status, reply.pointers) == (422, [f"?{name}"]), (name, at)


@pytest.mark.parametrize("at", [*OUTSIDE, "0001-01-01", "9999-12-31"])
def test_an_as_of_of_any_year_is_served_or_rejected(shop: System, at: str) -> None:
    for path in ("/orders", "/customers/1"):
        reply = shop.queries.get(f"{path}?asOf={quote(at)}", {"Prefer": "wait=0"})
        assert reply.slug == "invalid-fields", (path, at, reply.raw)


def test_a_range_finer_than_a_millisecond_begins_and_ends_with_the_next_one(shop: System) -> None:
    """One order at .123: of lists and of sums, with every filter."""
    made = shop.commands.post("/orders", order_of(shop, "2017-03-04T05:06:07.123Z"))
    shop.wait_projected(made.position)
    order = made.json
    customer, product = order["customerId"], order["orderItems"][0]["productId"]
    lists = ["/orders", f"/orders?customerId={customer}", f"/orders?productId={product}",
             f"/customers/{customer}/orders", "/product-sold", f"/product-sold?productId={product}",
             f"/product-sold?customerId={customer}",
             f"/product-sold?orderId={order['orderId']}"]  # fmt: skip
    for name, other, time, is_in in (
        ("from", "to=2017-03-05", "05:06:07.1229Z", True),
        ("from", "to=2017-03-05", "05:06:07.123Z", True),
        ("from", "to=2017-03-05", "05:06:07.1230000001Z", False),
        ("from", "to=2017-03-05", "05:06:07.1235Z", False),
        ("to", "from=2017-03-04", "05:06:07.1229999999Z", False),
        ("to", "from=2017-03-04", "05:06:07.123Z", False),
        ("to", "from=2017-03-04", "05:06:07.1230000001Z", True),
        ("to", "from=2017-03-04", "05:06:07.1235Z", True),
    ):
        span = f"{other}&{name}=2017-03-04T{time}"
        for path in lists:
            joined = "&" if "?" in path else "?"
            items = shop.queries.get(f"{path}{joined}{span}").json["items"]
            assert len(items) == is_in, (path, span)
        total = shop.queries.get(f"/analytics/total-sales?{span}").json
        assert total["orders"] == is_in, span
        for path in ("sales-by-day", "product-totals", "top-customers"):
            items = shop.queries.get(f"/analytics/{path}?{span}").json["items"]
            assert len(items) == is_in, (path, span)


def test_an_as_of_finer_than_a_millisecond_is_cut_off(shop: System) -> None:
    position = shop.commands.post("/customers", {"name": "A", "email": "a@b"}).position
    recorded = shop.commands.get(f"/events?after={position - 1}&limit=1").json["items"][0]
    at = recorded["recordedAt"].removesuffix("Z")
    patience = {"Prefer": "wait=30"}
    whole = shop.queries.get(f"/customers?asOf={at}Z", patience)
    finer = shop.queries.get(f"/customers?asOf={at}9999Z", patience)
    assert (whole.status, whole.position) == (200, position)
    assert (finer.status, finer.position) == (200, position)
