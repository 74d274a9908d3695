"""Idempotency keys: the same key has one effect and one response."""

import json
from concurrent.futures import ThreadPoolExecutor

from support.http import Client, Reply
from support.system import ANN, CAKE_STAND, System


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


def test_the_first_response_is_repeated_whole(shop: System, commands: Client) -> None:
    first = commands.post("/customers", ANN, key("again-1"))
    written = shop.written()
    again = commands.post("/customers", ANN, key("again-1"))
    assert (again.status, again.raw) == (first.status, first.raw)
    for name in ("etag", "location", "storelog-position"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert shop.written() == written


def test_another_request_with_the_key_is_422(shop: System, commands: Client) -> None:
    customer = shop.new_customer()
    path = f"/customers/{customer['customerId']}"
    commands.put(path, ANN, key("reuse-1"))
    for reply in (
        commands.put(path, ANN | {"name": "B"}, key("reuse-1")),
        commands.put(path, ANN, key("reuse-1") | {"If-Match": '"2"'}),
        commands.send("PUT", path, raw=json.dumps(ANN, indent=1).encode(), headers=key("reuse-1")),
        commands.post("/customers", ANN, key("reuse-1")),
    ):
        assert (reply.status, reply.slug) == (422, "idempotency-key-reused")


def test_rejections_by_rules_are_remembered_and_malformed_requests_are_not(
    shop: System, commands: Client
) -> None:
    customer, product = shop.new_customer(), shop.new_product()
    items = [{"productId": product["productId"], "quantity": 11}]
    body = {"customerId": customer["customerId"], "orderItems": items}
    assert commands.post("/orders", body, key("rule-1")).slug == "insufficient-stock"
    path = f"/products/{product['productId']}/stock-adjustments"
    commands.post(path, {"delta": 5, "reason": "delivery"})
    replayed = commands.post("/orders", body, key("rule-1"))
    assert (replayed.status, replayed.slug) == (409, "insufficient-stock")
    assert replayed.headers["idempotency-replayed"] == "true"
    assert commands.post("/orders", body, key("rule-2")).status == 201
    assert commands.post("/products", {"name": 1}, key("bad-1")).status == 422
    assert commands.post("/products", CAKE_STAND, key("bad-1")).status == 201


def test_100_uses_of_one_key_at_once_have_one_effect(shop: System, commands: Client) -> None:
    written = shop.written()

    def use(_: int) -> Reply:
        return commands.post("/products", CAKE_STAND, key("rush-1"))

    with ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(use, range(100)))
    assert {(reply.status, reply.raw) for reply in replies} == {(201, replies[0].raw)}
    assert sum("idempotency-replayed" not in reply.headers for reply in replies) == 1
    assert shop.written() == written + 1
