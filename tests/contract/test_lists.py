"""Search, sort and count of lists; and pages that are walked while the shop changes."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from storelog.client import Line, Storelog
from storelog.query_service.http.parameters import Range
from storelog.query_service.paging.keyset import PageKey, make_cursor
from storelog.query_service.positions.reads import Reads
from storelog.read_models.orders import finding
from support.embedded import EmbeddedServers, new_settings
from support.system import System

NAMES = ["White hanging heart", "white Heart T-light", "Café lamp", "CAFE tray", "東京タワー",
         "Straße", "heartless", "Lamp 12"]  # fmt: skip


@pytest.fixture(scope="module")
def small(servers: EmbeddedServers) -> Iterator[System]:
    """A shop whose lists are known: products of these names, the last renamed, one deleted."""
    with System(new_settings(servers)) as system:
        made = [system.new_product(name=name)["productId"] for name in NAMES]
        assert made == list(range(1, len(NAMES) + 1))
        system.commands.put("/products/8", {"name": "Vase", "price": "1"})
        system.commands.post("/products/1/stock-adjustments", {"delta": 5, "reason": "x"})
        system.commands.delete("/products/7")
        system.wait_projected()
        yield system


def found(system: System, query: str, limit: int = 50) -> list[int]:
    return [item["productId"] for item in system.queries.pages(f"/products?{query}", limit)]


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ("heart", [1, 2]),
        ("HEART white", [1, 2]),
        ("hea hang", [1]),
        ("cafe", [3, 4]),
        ("タワー", [5]),
        ("strasse", [6]),
        ("lamp", [3]),
        ("vase", [8]),
        ("heartless", []),
        ("eart", []),
    ],
)
@pytest.mark.parametrize("limit", [1, 50])
def test_products_are_found_by_their_names_now(
    small: System, asked: str, ids: list[int], limit: int
) -> None:
    assert found(small, f"q={quote(asked)}", limit) == ids
    assert found(small, f"q={quote(asked)}&sort=-id", limit) == ids[::-1]


def test_products_are_found_by_their_names_then(small: System) -> None:
    assert found(small, "q=lamp&asOf=8", 1) == [3, 8]
    assert found(small, "q=heartless&asOf=8") == [7]
    assert found(small, "q=vase&asOf=8") == []
    assert small.queries.get("/products?q=white&asOf=8&count=true").json["count"] == 2


def test_search_goes_with_filters_sort_and_count(small: System) -> None:
    reply = small.queries.get("/products?q=heart&inStock=false&count=true").json
    assert reply == {"items": [], "nextCursor": None, "count": 0, "countIsExact": True}
    reply = small.queries.get("/products?limit=2&count=true").json
    assert (len(reply["items"]), reply["count"], reply["countIsExact"]) == (2, 7, True)
    assert found(small, "sort=-id", 3) == [8, 6, 5, 4, 3, 2, 1]
    assert "count" not in small.queries.get("/products").json


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/products?q=", "?q"),
        ("/products?q=%20-", "?q"),
        (f"/products?q={'x' * 201}", "?q"),
        ("/customers?q=a+b+c+d+e+f+g+h+i+j+k", "?q"),
        ("/products?sort=price", "?sort"),
        ("/orders?sort=id", "?sort"),
        ("/orders?sort=orderDate&productId=1", "?sort"),
        ("/orders?count=yes", "?count"),
        ("/orders?q=x", "?q"),
    ],
)
def test_an_invalid_query_is_422(small: System, path: str, pointer: str) -> None:
    reply = small.queries.get(path)
    assert (reply.status, reply.pointers) == (422, [pointer])


def test_a_cursor_is_good_for_its_own_search_only(small: System) -> None:
    cursor = small.queries.get("/products?q=heart&limit=1").json["nextCursor"]
    for query in ("q=cafe", "q=heart&sort=-id", "limit=1"):
        assert small.queries.get(f"/products?{query}&cursor={cursor}").status == 422


@pytest.mark.parametrize("part", [2**62, -(2**62), 2**63 - 1, 0])
@pytest.mark.parametrize("sort", ["id", "-id"])
def test_a_forged_cursor_costs_no_more_than_another(small: System, sort: str, part: int) -> None:
    # The search once started there in steps of 4,096 ids and delayed all other requests.
    filters = {"list": "products", "q": "", "sort": sort}
    cursor = make_cursor(filters, [part])
    reply = small.queries.get(f"/products?sort={sort}&cursor={cursor}")
    assert reply.status in (200, 422)


def test_orders_go_up_and_down_and_are_counted(small: System) -> None:
    customer = small.new_customer()["customerId"]
    body: dict[str, Any] = {"customerId": customer}
    for day in (3, 1, 2, 1, 9, 1):
        body["orderItems"] = [{"productId": 1, "quantity": 1}]
        body["orderDate"] = f"2011-01-0{day}T00:00:00.00{day}Z"
        assert small.commands.post("/orders", body).status == 201
    gone = small.new_order(customer, (1, 1))["orderId"]
    then = small.written()
    small.commands.delete(f"/orders/{gone}")
    small.wait_projected()
    for limit in (1, 2, 50):
        down = list(small.queries.pages("/orders", limit))
        up = list(small.queries.pages("/orders?sort=orderDate", limit))
        assert up == down[::-1]
        assert [order["orderDate"][:10] for order in up] == sorted(o["orderDate"][:10] for o in up)
        cut = list(
            small.queries.pages("/orders?sort=orderDate&from=2011-01-02&to=2011-01-09", limit)
        )
        assert [order["orderDate"][:10] for order in cut] == ["2011-01-02", "2011-01-03"]
    for path, count in (("/orders", 6), ("/orders?productId=1", 6), ("/product-sold", 6),
                        (f"/customers/{customer}/orders", 6), ("/product-sold?cancelled=true", 1),
                        ("/orders?from=2011-01-09", 1)):  # fmt: skip
        joined = "&" if "?" in path else "?"
        reply = small.queries.get(f"{path}{joined}limit=1&count=true").json
        assert (reply["count"], reply["countIsExact"]) == (count, True)
        reply = small.queries.get(f"{path}{joined}limit=1&count=true&asOf={then}").json
        was = 0 if "cancelled" in path else count + 1
        assert (reply["count"], reply["countIsExact"]) == (was, True)


@pytest.mark.parametrize("kind", ["down", "up", "product"])
def test_a_page_that_gets_too_large_ends_early_and_nothing_is_left_out(
    small: System, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("storelog.query_service.paging.page.MAX_PAGE_BYTES", 150)
    monkeypatch.setattr(finding, "ORDERS", replace(finding.ORDERS, at_once=4))

    async def pages() -> list[list[int]]:
        reads = Reads(small.settings)
        found: list[list[int]] = []
        after: PageKey | None = None
        try:
            view = await reads.view()
            while not found or after is not None:
                match = {finding.ITS_PRODUCT: 1} if kind == "product" else {}
                page = await finding.find_orders(view, match, Range(), after, 5, is_up=kind == "up")
                found.append([int(order["_id"]) for order in page.documents])
                after = page.next_key
        finally:
            await reads.close()
        return found

    found = asyncio.run(pages())
    path = "/orders?sort=orderDate" if kind == "up" else "/orders"
    flat = [number for page in found for number in page]
    assert flat == [order["orderId"] for order in small.queries.pages(path)]
    assert [len(page) for page in found if page] == [2] * (len(flat) // 2)


@pytest.mark.parametrize("path", ["/product-sold", "/orders", "/orders?sort=orderDate"])
@pytest.mark.parametrize("part", [2**62, -(2**62), 2**63 - 1, -(2**63)])
def test_a_forged_cursor_is_never_a_failure(small: System, path: str, part: int) -> None:
    filters: dict[str, Any] = {"list": "product-sold", "cancelled": False}
    if path != "/product-sold":
        sort = "orderDate" if "sort" in path else "-orderDate"
        filters = {"list": "orders", "productId": None, "sort": sort}
    key = [part] * (3 if path == "/product-sold" else 2)
    cursor = make_cursor({**filters, "from": None, "to": None}, key)
    reply = small.queries.get(f"{path}{'&' if '?' in path else '?'}cursor={cursor}")
    assert reply.status == (200 if abs(part) <= 2**62 else 422)


def test_walking_pages_during_writes_sees_each_unchanged_item_exactly_once(shop: System) -> None:
    """What was there before and is there after comes once, whatever comes between."""
    dice = random.Random(11)
    stop = threading.Event()
    with Storelog(shop.settings.command_url, shop.settings.query_url) as client:
        people = [client.create_customer(f"Ann {n}", "a@b").customer_id for n in range(60)]
        things = [client.create_product(f"Lamp {n}", 1, 10_000).product_id for n in range(60)]
        orders = [client.place_order(dice.choice(people[:3]), [Line(dice.choice(things[:3]), 1)])
                  for _ in range(80)]  # fmt: skip
        shop.wait_projected()
        doomed = {"customer": people[40:], "product": things[40:],
                  "order": [order.order_id for order in orders[50:]]}  # fmt: skip

        def write() -> None:
            deletes = [("customer", n) for n in doomed["customer"]]
            deletes += [("product", n) for n in doomed["product"]]
            deletes += [("order", n) for n in doomed["order"]]
            dice.shuffle(deletes)
            with Storelog(shop.settings.command_url, shop.settings.query_url) as writer:
                # Slower than the walks, which would have no end otherwise.
                while not stop.wait(0.1):
                    writer.create_customer("Ann new", "a@b")
                    writer.create_product("Lamp new", 1, 1)
                    writer.place_order(people[0], [Line(things[0], 1)])
                    if deletes:
                        kind, number = deletes.pop()
                        getattr(writer, f"delete_{kind}")(number)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for path, name, kept in _walks(people[:40], things[:40], orders[:50]):
                pages = shop.queries.pages(path, dice.randrange(5, 30))
                seen = Counter(item[name] for item in pages)
                assert max(seen.values()) == 1, path
                assert kept <= seen.keys(), path
        finally:
            stop.set()
            thread.join(60)


def _walks(
    people: list[int], things: list[int], orders: list[Any]
) -> list[tuple[str, str, set[int]]]:
    kept = {order.order_id for order in orders}
    of_first = {order.order_id for order in orders if order.customer_id == people[0]}
    items = {item.item_id for order in orders for item in order.order_items}
    with_first = {o.order_id for o in orders if o.order_items[0].product_id == things[0]}
    return [
        ("/customers", "customerId", set(people)),
        ("/customers?sort=-id", "customerId", set(people)),
        ("/customers?q=ann", "customerId", set(people)),
        ("/products", "productId", set(things)),
        ("/products?q=lamp&sort=-id", "productId", set(things)),
        ("/orders", "orderId", kept),
        ("/orders?sort=orderDate", "orderId", kept),
        (f"/orders?customerId={people[0]}", "orderId", of_first),
        (f"/orders?productId={things[0]}", "orderId", with_first),
        ("/product-sold", "itemId", items),
    ]
