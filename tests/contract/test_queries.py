"""The Query Service's table: bodies, filters, pages and totals, against a shop of known sales."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from support.embedded import EmbeddedServers, new_settings
from support.system import System

DAYS = ["2011-01-01T23:59:59.999Z", "2011-01-02T00:00:00Z", "2011-01-02T12:00:00.5Z",
        "2011-02-28T01:00:00Z", "2012-02-29T01:00:00Z"]  # fmt: skip


class Sales:
    """A shop with two customers, three products, and dated orders, some deleted."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.customers = [system.new_customer(name=n)["customerId"] for n in ("Ann", "Ben", "Cy")]
        self.products = [
            system.new_product(name=name, price=price, stock=1000)["productId"]
            for name, price in (("Lamp", "0.425"), ("Tray", "12.75"), ("Vase", "3"))
        ]
        self.orders: list[dict[str, Any]] = []
        for number in range(40):
            items = [
                {"productId": self.products[number % 2], "quantity": 1 + number % 3},
                {"productId": self.products[0], "quantity": 2},
            ]
            body = {
                "customerId": self.customers[number % 2],
                "orderItems": items,
                "orderDate": DAYS[number % len(DAYS)],
            }
            reply = system.commands.post("/orders", body)
            assert reply.status == 201
            self.orders.append(reply.json)
        self.deleted = [order for order in self.orders if order["orderId"] % 7 == 0]
        for order in self.deleted:
            assert system.commands.delete(f"/orders/{order['orderId']}").status == 204
        self.kept = [order for order in self.orders if order not in self.deleted]
        system.commands.put(f"/customers/{self.customers[0]}", {"name": "Ann B", "email": "b@b"})
        system.commands.delete(f"/customers/{self.customers[1]}")
        system.commands.delete(f"/products/{self.products[1]}")
        system.wait_projected()


@pytest.fixture(scope="module")
def sales(servers: EmbeddedServers) -> Iterator[Sales]:
    with System(new_settings(servers)) as system:
        yield Sales(system)


def newest_first(orders: list[dict[str, Any]]) -> list[int]:
    ordered = sorted(orders, key=lambda o: (o["orderDate"], o["orderId"]), reverse=True)
    return [order["orderId"] for order in ordered]


def amount(orders: list[dict[str, Any]]) -> Decimal:
    return sum(
        (Decimal(i["price"]) * i["quantity"] for o in orders for i in o["orderItems"]), Decimal(0)
    )


def test_single_reads_have_the_commands_bodies(sales: Sales) -> None:
    queries, order = sales.system.queries, sales.kept[0]
    found = queries.get(f"/orders/{order['orderId']}")
    assert found.json == {**order, "customerName": found.json["customerName"]}
    assert found.position >= sales.system.written()
    assert re.fullmatch(r'"1-[0-9a-f]{32}"', found.etag)
    lamp = queries.get(f"/products/{sales.products[0]}")
    assert lamp.json["price"] == "0.425"
    stock = sales.system.sql("SELECT * FROM products WHERE product_id = $1", sales.products[0])[0]
    assert lamp.json["stock"] == stock["stock"]
    assert lamp.etag == f'"{stock["version"]}"'
    path = f"/customers/{sales.customers[0]}"
    ann = queries.get(path)
    assert (ann.json["name"], ann.etag) == ("Ann B", '"2"')
    changed = sales.system.commands.put(
        path, {"name": "Ann B", "email": "b@b"}, {"If-Match": ann.etag}
    )
    assert changed.status == 200


def test_a_deleted_or_unknown_entity_is_404(sales: Sales) -> None:
    queries = sales.system.queries
    for path in (
        f"/orders/{sales.deleted[0]['orderId']}",
        f"/customers/{sales.customers[1]}",
        f"/products/{sales.products[1]}",
        "/orders/999999",
        "/customers/999999",
        "/products/999999",
        "/customers/999999/orders",
    ):
        reply = queries.get(path)
        assert (reply.status, reply.slug) == (404, "not-found")


@pytest.mark.parametrize("limit", [1, 7, 500])
def test_lists_give_every_item_once_in_order_whatever_the_page(sales: Sales, limit: int) -> None:
    queries = sales.system.queries

    def ids(path: str, name: str) -> list[int]:
        return [item[name] for item in queries.pages(path, limit)]

    first, second = sales.customers[0], sales.customers[1]
    assert ids("/orders", "orderId") == newest_first(sales.kept)
    of_first = [order for order in sales.kept if order["customerId"] == first]
    assert ids(f"/orders?customerId={first}", "orderId") == newest_first(of_first)
    assert ids(f"/customers/{first}/orders", "orderId") == newest_first(of_first)
    tray = sales.products[1]
    with_tray = [o for o in sales.kept if any(i["productId"] == tray for i in o["orderItems"])]
    assert ids(f"/orders?productId={tray}", "orderId") == newest_first(with_tray)
    both = [order for order in with_tray if order["customerId"] == second]
    assert ids(f"/orders?productId={tray}&customerId={second}", "orderId") == newest_first(both)
    assert ids("/customers", "customerId") == [first, sales.customers[2]]
    assert ids("/products", "productId") == [sales.products[0], sales.products[2]]
    january = [o for o in sales.kept if "2011-01-02" <= o["orderDate"] < "2011-01-03"]
    path = "/orders?from=2011-01-02&to=2011-01-03"
    assert ids(path, "orderId") == newest_first(january)


@pytest.mark.parametrize("limit", [1, 9, 500])
def test_sales_are_found_by_product_customer_order_and_time(sales: Sales, limit: int) -> None:
    queries = sales.system.queries

    def items(path: str) -> list[int]:
        return [item["itemId"] for item in queries.pages(path, limit)]

    def lines(orders: list[dict[str, Any]], product: int | None = None) -> list[int]:
        keyed = [
            (order["orderDate"], order["orderId"], item["itemId"])
            for order in orders
            for item in order["orderItems"]
            if product is None or item["productId"] == product
        ]
        return [item for _, _, item in sorted(keyed, reverse=True)]

    lamp, ann = sales.products[0], sales.customers[0]
    of_ann = [order for order in sales.kept if order["customerId"] == ann]
    late = [order for order in sales.kept if order["orderDate"] >= "2011-01-02T12:00:00.500Z"]
    assert items("/product-sold") == lines(sales.kept)
    assert items("/product-sold?cancelled=true") == lines(sales.deleted)
    assert items(f"/product-sold?productId={lamp}") == lines(sales.kept, lamp)
    assert items(f"/product-sold?productId={lamp}&cancelled=true") == lines(sales.deleted, lamp)
    assert items(f"/product-sold?customerId={ann}") == lines(of_ann)
    assert items(f"/product-sold?customerId={ann}&productId={lamp}") == lines(of_ann, lamp)
    assert items("/product-sold?from=2011-01-02T12:00:00.5Z") == lines(late)
    order = sales.kept[3]
    assert items(f"/product-sold?orderId={order['orderId']}") == lines([order])
    assert items(f"/product-sold?orderId={order['orderId']}&productId=999") == []
    assert items(f"/product-sold?orderId={sales.deleted[0]['orderId']}") == []


def test_a_sale_shows_the_collections_fields(sales: Sales) -> None:
    order = sales.kept[-1]
    item = order["orderItems"][0]
    found = sales.system.queries.get(f"/product-sold?orderId={order['orderId']}").json["items"]
    sold = next(sale for sale in found if sale["itemId"] == item["itemId"])
    assert sold.keys() == {
        "itemId", "productId", "productName", "productPrice", "quantitySold", "remainingStock",
        "stockStatus", "orderId", "customerId", "productTotalPrice", "soldAt", "cancelled",
    }  # fmt: skip
    assert Decimal(sold["productTotalPrice"]) == Decimal(item["price"]) * item["quantity"]
    assert sold["soldAt"] == order["orderDate"]
    assert sold["cancelled"] is False


RANGES = [
    "",
    "?from=2011-01-02",
    "?to=2011-01-02",
    "?from=2011-01-01&to=2011-02-28",
    "?from=2011-01-02T00:00:00.001Z&to=2011-02-28T01:00:00.001Z",
    "?from=2011-01-02T12:00:00.500Z&to=2011-01-02T12:00:00.501Z",
    "?from=2011-01-01T23:59:59.999Z&to=2011-01-02T00:00:00.000Z",
    "?from=2013-01-01",
    "?to=2010-01-01",
    "?from=2011-01-02&to=2011-01-02",
    "?from=2011-01-02T01:00:00%2B01:00",
]


def within(orders: list[dict[str, Any]], query: str) -> list[dict[str, Any]]:
    parts = dict(part.split("=") for part in query.lstrip("?").split("&") if part)
    start = parts.get("from", "2000").replace("T01:00:00%2B01:00", "")
    return [o for o in orders if start <= o["orderDate"] < parts.get("to", "2100")]


@pytest.mark.parametrize("query", RANGES)
def test_totals_equal_a_plain_sum_for_any_range(sales: Sales, query: str) -> None:
    queries, orders = sales.system.queries, within(sales.kept, query)
    total = queries.get(f"/analytics/total-sales{query}").json
    units = sum(item["quantity"] for order in orders for item in order["orderItems"])
    assert Decimal(total["totalSales"]) == amount(orders)
    assert (total["unitsSold"], total["orders"]) == (units, len(orders))
    days = queries.get(f"/analytics/sales-by-day{query}").json["items"]
    assert [day["day"] for day in days] == sorted({o["orderDate"][:10] for o in orders})
    for day in days:
        of_day = [order for order in orders if order["orderDate"].startswith(day["day"])]
        assert (Decimal(day["totalSales"]), day["orders"]) == (amount(of_day), len(of_day))
    customers = queries.get(f"/analytics/top-customers{query}").json["items"]
    spent = {c["customerId"]: (Decimal(c["totalSpent"]), c["orders"]) for c in customers}
    assert list(spent.values()) == sorted(spent.values(), reverse=True, key=lambda v: v[0])
    for number, (total_spent, count) in spent.items():
        of_customer = [order for order in orders if order["customerId"] == number]
        assert (total_spent, count) == (amount(of_customer), len(of_customer))
    assert spent.keys() == {order["customerId"] for order in orders}
    products = queries.get(f"/analytics/product-totals{query}").json["items"]
    assert sum(p["unitsSold"] for p in products) == units
    assert sum((Decimal(p["totalSales"]) for p in products), Decimal(0)) == amount(orders)


def test_totals_name_deleted_entities_by_their_last_name_and_take_a_limit(sales: Sales) -> None:
    queries = sales.system.queries
    names = {p["productName"] for p in queries.get("/analytics/product-totals").json["items"]}
    assert names == {"Lamp", "Tray"}
    names = {c["name"] for c in queries.get("/analytics/top-customers").json["items"]}
    assert names == {"Ann B", "Ben"}
    assert len(queries.get("/analytics/top-customers?limit=1").json["items"]) == 1
    order = next(o for o in sales.kept if o["customerId"] == sales.customers[1])
    assert queries.get(f"/orders/{order['orderId']}").json["customerName"] == "Ben"


def test_products_in_stock(sales: Sales) -> None:
    queries = sales.system.queries
    out = sales.system.new_product(stock=0)["productId"]
    sales.system.wait_projected()
    assert [p["productId"] for p in queries.pages("/products?inStock=false")] == [out]
    assert out not in [p["productId"] for p in queries.pages("/products?inStock=true")]


def test_documents_in_mongodb_have_the_literal_names_and_types(sales: Sales) -> None:
    from bson import DBRef, Decimal128, Int64

    database = sales.system.mongo
    order = database.orders.find_one({"_id": sales.kept[0]["orderId"]})
    assert order is not None
    assert type(order["_id"]) is Int64
    assert order["order_id"] == order["_id"]
    assert order["customer"] == DBRef("customers", order["customerId"])
    assert order["orderItems"][0]["product"].collection == "products"
    assert type(order["totalPrice"]) is Decimal128
    assert order["orderDate"].tzinfo is not None
    sale = database.product_sold.find_one({"_id": order["orderItems"][0]["itemId"]})
    assert sale is not None
    assert type(sale["productTotalPrice"]) is Decimal128
    assert type(sale["orderId"]) is Int64
    names = {"customer_id", "name", "email", "phoneNumber"}
    assert names <= (database.customers.find_one() or {}).keys()
    names = {"product_id", "name", "price", "stock", "stockStatus"}
    assert names <= (database.products.find_one() or {}).keys()
