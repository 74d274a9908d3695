"""Each row of the Command Service's table: what succeeds, and that a rejection changes nothing."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from storelog.command_service import log_reader
from support.http import Client, Reply
from support.system import ANN, CAKE_STAND, System

UNKNOWN = 9_000_000_000


def everything(shop: System) -> dict[str, Any]:
    """All that a command could change, in PostgreSQL, the log, and MongoDB."""
    tables = ("customers", "products", "orders", "order_items", "events")
    rows = {table: str(shop.sql(f"SELECT * FROM {table} ORDER BY 1")) for table in tables}
    # Up to when the log is settled goes on by itself, as the relay looks.
    rows["log_head"] = str(shop.sql("SELECT position, hash, recorded_at FROM log_head"))
    names = ("customers", "products", "orders", "product_sold", "totals", "dead_letters")
    return rows | {name: list(shop.mongo[name].find({}, sort=[("_id", 1)])) for name in names}


@pytest.fixture
def refused(shop: System) -> Callable[..., Reply]:
    """Send a command that must be rejected, and check that nothing changed."""

    def send(method: str, path: str, body: Any = None, **headers: str) -> Reply:
        shop.wait_projected()
        before = everything(shop)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = shop.commands.send(method, path, body, named)
        assert reply.status >= 400
        assert everything(shop) == before
        return reply

    return send


def test_a_customer_is_created_replaced_and_deleted(shop: System, commands: Client) -> None:
    created = commands.post("/customers", ANN | {"phoneNumber": "123456789012345"})
    number = created.json["customerId"]
    assert created.status == 201
    assert created.json == {"customerId": number, **ANN, "phoneNumber": "123456789012345"}
    assert created.headers["location"] == f"{shop.settings.query_url}/customers/{number}"
    assert created.etag == '"1"'
    changed = commands.put(f"/customers/{number}", {"name": "Ann B", "email": "b@b"})
    assert (changed.status, changed.etag) == (200, '"2"')
    assert changed.json["phoneNumber"] is None
    assert changed.position == created.position + 1
    deleted = commands.delete(f"/customers/{number}")
    assert (deleted.status, deleted.raw, deleted.etag) == (204, b"", '"3"')
    again = commands.put(f"/customers/{number}", ANN)
    assert (again.status, again.slug) == (404, "not-found")


def test_a_product_is_created_replaced_adjusted_and_deleted(shop: System, commands: Client) -> None:
    created = commands.post("/products", {"name": "Lamp", "price": 0.425, "stock": 0})
    number = created.json["productId"]
    assert created.headers["location"] == f"{shop.settings.query_url}/products/{number}"
    assert created.json == {
        "productId": number,
        "name": "Lamp",
        "price": "0.425",
        "stock": 0,
        "stockStatus": False,
        "sku": None,
    }
    path = f"/products/{number}"
    adjusted = commands.post(f"{path}/stock-adjustments", {"delta": 7, "reason": "delivery"})
    assert (adjusted.status, adjusted.json["stock"], adjusted.etag) == (200, 7, '"2"')
    kept = commands.put(path, {"name": "Lamp", "price": "1"})
    assert (kept.json["stock"], kept.json["price"], kept.etag) == (7, "1.00", '"3"')
    same = commands.put(path, {"name": "Lamp", "price": "1", "stock": 7})
    assert same.etag == '"4"'
    assert commands.delete(path, {"If-Match": '"4"'}).status == 204
    assert commands.delete(path).status == 404


def test_an_order_takes_stock_and_gives_it_back(shop: System, commands: Client) -> None:
    customer, product = shop.new_customer(), shop.new_product(price="0.425")
    line = {"productId": product["productId"], "quantity": 3}
    body = {"customerId": customer["customerId"], "orderItems": [line, {**line, "quantity": 2}]}
    placed = commands.post("/orders", body)
    assert placed.status == 201
    order = placed.json
    assert placed.headers["location"] == f"{shop.settings.query_url}/orders/{order['orderId']}"
    assert order["totalPrice"] == "2.12"  # 2.125, rounded half-even once
    assert [item["price"] for item in order["orderItems"]] == ["0.425", "0.425"]
    after = shop.sql("SELECT stock FROM products WHERE product_id = $1", product["productId"])
    assert after == [{"stock": 5}]
    events = commands.get(f"/events?after={placed.position - 3}&limit=3").json["items"]
    assert [event["eventType"] for event in events] == [
        "OrderCreated",
        "ProductSold",
        "ProductSold",
    ]
    assert events[0]["payload"] == order
    assert commands.delete(f"/orders/{order['orderId']}").status == 204
    after = shop.sql("SELECT stock FROM products WHERE product_id = $1", product["productId"])
    assert after == [{"stock": 10}]
    assert commands.delete(f"/orders/{order['orderId']}").status == 404


def test_a_deleted_products_order_can_be_deleted_and_gives_nothing_back(
    shop: System, commands: Client
) -> None:
    customer, product = shop.new_customer(), shop.new_product()
    order = shop.new_order(customer["customerId"], (product["productId"], 1))
    commands.delete(f"/products/{product['productId']}")
    deleted = commands.delete(f"/orders/{order['orderId']}")
    assert deleted.status == 204
    events = commands.get(f"/events?aggregate=product-{product['productId']}").json["items"]
    assert events[-1]["eventType"] == "ProductDeleted"


Refused = Callable[..., Reply]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(("kind", "body"), [("customers", ANN), ("products", CAKE_STAND)])
def test_an_entity_that_does_not_exist_is_404(
    refused: Refused, method: str, kind: str, body: Any
) -> None:
    reply = refused(method, f"/{kind}/{UNKNOWN}", body if method == "PUT" else None)
    assert (reply.status, reply.slug) == (404, "not-found")


def test_an_unknown_order_or_product_is_404(refused: Refused) -> None:
    assert refused("DELETE", f"/orders/{UNKNOWN}").status == 404
    adjustment = {"delta": 1, "reason": "x"}
    assert refused("POST", f"/products/{UNKNOWN}/stock-adjustments", adjustment).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("kind", ["customer", "product"])
def test_a_stale_version_is_412(shop: System, refused: Refused, method: str, kind: str) -> None:
    made = shop.new_customer() if kind == "customer" else shop.new_product()
    path = f"/{kind}s/{made[kind + 'Id']}"
    body = None if method == "DELETE" else ANN if kind == "customer" else CAKE_STAND
    reply = refused(method, path, body, If_Match='"2"')
    assert (reply.status, reply.slug) == (412, "stale-version")
    assert reply.json["currentVersion"] == 1


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        ("/customers", {"name": "", "email": "x"}, ["/email", "/name"]),
        ("/customers", {}, ["/email", "/name"]),
        ("/customers", [], ["", "/email", "/name"]),
        ("/products", CAKE_STAND | {"price": "-1", "stock": -1}, ["/price", "/stock"]),
        ("/products", CAKE_STAND | {"stockStatus": True}, ["/stockStatus"]),
        ("/orders", {"customerId": 1, "orderItems": [], "x": 1}, ["/orderItems", "/x"]),
    ],
)
def test_fields_beyond_their_limits_are_422(
    refused: Refused, path: str, body: Any, pointers: list[str]
) -> None:
    reply = refused("POST", path, body)
    assert (reply.status, reply.slug, reply.pointers) == (422, "invalid-fields", pointers)


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity", "x"])
def test_a_body_with_a_content_encoding_is_415_and_changes_nothing(
    refused: Refused, coding: str
) -> None:
    reply = refused("POST", "/customers", ANN, Content_Encoding=coding)
    assert (reply.status, reply.slug) == (415, "unsupported-media-type")
    assert reply.headers["accept-encoding"] == "identity"


def test_a_body_that_is_sent_as_it_is_may_say_so(commands: Client) -> None:
    assert commands.post("/customers", ANN, {"Content-Encoding": "identity"}).status == 201


def test_a_replaced_entity_has_the_same_limits(shop: System, refused: Refused) -> None:
    customer, product = shop.new_customer(), shop.new_product()
    assert refused("PUT", f"/customers/{customer['customerId']}", {"name": "x"}).status == 422
    assert refused("PUT", f"/products/{product['productId']}", {"name": "x"}).status == 422
    path = f"/products/{product['productId']}/stock-adjustments"
    assert refused("POST", path, {"delta": 1}).pointers == ["/reason"]
    too_much = {"delta": 2_147_483_647, "reason": "x"}
    assert (refused("POST", path, too_much)).status == 422


def test_an_unknown_customer_or_product_of_an_order_is_422(
    shop: System, commands: Client, refused: Refused
) -> None:
    customer, product = shop.new_customer(), shop.new_product()
    line = {"productId": product["productId"], "quantity": 1}
    reply = refused("POST", "/orders", {"customerId": UNKNOWN, "orderItems": [line]})
    assert (reply.status, reply.slug, reply.pointers) == (422, "unknown-customer", ["/customerId"])
    items = [line, {"productId": UNKNOWN, "quantity": 1}]
    body = {"customerId": customer["customerId"], "orderItems": items}
    reply = refused("POST", "/orders", body)
    assert (reply.slug, reply.pointers) == ("unknown-product", ["/orderItems/1/productId"])
    commands.delete(f"/products/{product['productId']}")
    commands.delete(f"/customers/{customer['customerId']}")
    assert refused("POST", "/orders", body).slug == "unknown-customer"
    body["customerId"] = shop.new_customer()["customerId"]
    assert len(refused("POST", "/orders", body).pointers) == 2


def test_too_little_stock_is_409_for_the_sum_of_a_products_lines(
    shop: System, refused: Refused
) -> None:
    customer, product, other = shop.new_customer(), shop.new_product(), shop.new_product()
    lines = [(product["productId"], 6), (other["productId"], 1), (product["productId"], 5)]
    items = [{"productId": p, "quantity": q} for p, q in lines]
    reply = refused("POST", "/orders", {"customerId": customer["customerId"], "orderItems": items})
    assert (reply.status, reply.slug) == (409, "insufficient-stock")
    assert reply.json["products"] == [
        {"productId": product["productId"], "asked": 11, "available": 10}
    ]


def test_an_adjustment_below_zero_is_409(shop: System, refused: Refused) -> None:
    product = shop.new_product()
    path = f"/products/{product['productId']}/stock-adjustments"
    reply = refused("POST", path, {"delta": -11, "reason": "theft"})
    assert (reply.status, reply.slug) == (409, "insufficient-stock")


def test_a_return_that_a_product_cannot_hold_is_409(
    shop: System, commands: Client, refused: Refused
) -> None:
    customer, product = shop.new_customer(), shop.new_product()
    order = shop.new_order(customer["customerId"], (product["productId"], 5))
    full = CAKE_STAND | {"stock": 2_147_483_647}
    commands.put(f"/products/{product['productId']}", full)
    reply = refused("DELETE", f"/orders/{order['orderId']}")
    assert (reply.status, reply.slug) == (409, "stock-limit")


def test_the_log_is_read_in_pages_and_by_aggregate(shop: System, commands: Client) -> None:
    product = shop.new_product()
    name = f"product-{product['productId']}"
    for delta in (1, 2, 3):
        path = f"/products/{product['productId']}/stock-adjustments"
        last = commands.post(path, {"delta": delta, "reason": "delivery"})
    page = commands.get(f"/events?aggregate={name}&limit=3").json
    assert [event["version"] for event in page["items"]] == [1, 2, 3]
    rest = commands.get(f"/events?aggregate={name}&after={page['nextAfter']}").json
    assert [event["payload"]["delta"] for event in rest["items"]] == [3]
    assert rest["nextAfter"] is None
    event = rest["items"][0]
    assert event["position"] == last.position
    assert set(event) == {
        "position", "eventId", "eventType", "aggregate", "version", "schemaVersion",
        "occurredAt", "recordedAt", "correlationId", "payload",
    }  # fmt: skip
    assert event["correlationId"] == last.headers["x-correlation-id"]
    for wrong in ("aggregate=cat-1", "aggregate=product-0", "after=-1", "limit=0", "limit=1001"):
        reply = commands.get(f"/events?{wrong}")
        assert (reply.status, reply.pointers) == (422, [f"?{wrong.partition('=')[0]}"])


def test_a_page_of_the_log_ends_early_when_its_events_are_large(
    shop: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"product-{shop.new_product()['productId']}"
    path = f"/products/{name.partition('-')[2]}/stock-adjustments"
    for _ in range(6):
        shop.commands.post(path, {"delta": 1, "reason": "delivery"})
    monkeypatch.setattr(log_reader, "MAX_PAGE_BYTES", 300)
    monkeypatch.setattr(log_reader, "READ_AT_ONCE", 4)

    async def pages() -> list[list[int]]:
        found: list[list[int]] = []
        after: int | None = 0
        connection = await asyncpg.connect(shop.settings.postgres_url)
        while after is not None:
            events, after = await log_reader.read_page(connection, name, after, 5)
            found.append([event.version for event in events])
        await connection.close()
        return found

    found = asyncio.run(pages())
    assert [version for page in found for version in page] == list(range(1, 8))
    assert max(len(page) for page in found) < 5
