"""`If-Match` and `If-None-Match` on every command about an existing entity (RFC 9110, 13.1)."""

import http.client
import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from storelog.client import Line, Storelog, VersionIsStale
from support.http import Reply
from support.system import System

ANN = {"name": "Ann", "email": "ann@example.com", "phoneNumber": None}
STAND = {"name": "Cake stand", "price": "1.00"}
_keys = itertools.count(1)


class Command:
    """One command about an entity of its own, at version 1."""

    def __init__(self, method: str, path: str, body: Any) -> None:
        self.method, self.path, self.body = method, path, body

    def send(self, shop: System, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return shop.commands.send(self.method, self.path, self.body, named)


def _order(shop: System) -> str:
    customer, product = shop.new_customer(), shop.new_product(stock=5)
    line = {"productId": product["productId"], "quantity": 1}
    body = {"customerId": customer["customerId"], "orderItems": [line]}
    return f"/orders/{shop.commands.post('/orders', body).json['orderId']}"


def _customer(shop: System) -> str:
    return f"/customers/{shop.new_customer()['customerId']}"


def _product(shop: System) -> str:
    return f"/products/{shop.new_product(stock=5)['productId']}"


MAKERS: dict[str, Callable[[System], Command]] = {
    "PUT customer": lambda shop: Command("PUT", _customer(shop), ANN),
    "DELETE customer": lambda shop: Command("DELETE", _customer(shop), None),
    "PUT product": lambda shop: Command("PUT", _product(shop), STAND),
    "DELETE product": lambda shop: Command("DELETE", _product(shop), None),
    "adjust stock": lambda shop: Command(
        "POST", f"{_product(shop)}/stock-adjustments", {"delta": 1, "reason": "counted"}
    ),
    "DELETE order": lambda shop: Command("DELETE", _order(shop), None),
}


@pytest.fixture(params=MAKERS)
def command(request: pytest.FixtureRequest, shop: System) -> Command:
    return MAKERS[request.param](shop)


def test_no_match_is_412_and_changes_nothing(shop: System, command: Command) -> None:
    before = shop.commands.get("/events").position
    for tags in ('"nonsense"', '"2"', 'W/"1"', '"01"', '"0"', '"1-"', '""', '"2", W/"1", "x,1"'):
        reply = command.send(shop, If_Match=tags)
        assert (reply.status, reply.slug) == (412, "stale-version"), tags
        assert reply.json["currentVersion"] == 1
    for tags in ("1", "nonsense", '"1', '"1" "2"', '*, "1"', "W/*", "'1'", ""):
        reply = command.send(shop, If_Match=tags)
        assert (reply.status, reply.slug) == (400, "malformed-request"), tags
    assert shop.commands.get("/events").position == before


@pytest.mark.parametrize("tags", ['"1"', "*", '"9", W/"8" ,, "1"', '"1-gzip"', '"a,b", "1"'])
def test_one_tag_of_the_current_version_is_enough(
    shop: System, command: Command, tags: str
) -> None:
    assert command.send(shop, If_Match=tags).status in (200, 204)


def test_repeated_fields_are_one_list(shop: System, command: Command) -> None:
    address = urlsplit(shop.commands.url)
    for second, expected in (('"8"', [412]), ('"1"', [200, 204])):
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=20)
        connection.putrequest(command.method, command.path)
        connection.putheader("If-Match", '"7"')
        connection.putheader("If-Match", second)
        body = b"" if command.body is None else json.dumps(command.body).encode()
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        assert connection.getresponse().status in expected
        connection.close()


def test_what_does_not_exist_is_404_before_412(shop: System, command: Command) -> None:
    parts = command.path.split("/")
    parts[2] = "9000000000"
    missing = Command(command.method, "/".join(parts), command.body)
    for tags in ("*", '"1"', 'W/"1"'):
        assert missing.send(shop, If_Match=tags).status == 404
        assert missing.send(shop, If_None_Match=tags).status == 404


def test_a_key_belongs_to_its_if_match(shop: System, command: Command) -> None:
    key = f"if-match-{next(_keys)}"
    first = command.send(shop, If_Match='"7", "1"', Idempotency_Key=key)
    again = command.send(shop, If_Match='"7", "1"', Idempotency_Key=key)
    assert (again.status, again.raw, again.etag) == (first.status, first.raw, first.etag)
    assert again.headers["idempotency-replayed"] == "true"
    other = command.send(shop, If_Match='"1"', Idempotency_Key=key)
    assert (other.status, other.slug) == (422, "idempotency-key-reused")


def test_commands_that_create_ignore_them(shop: System) -> None:
    for tags in ('"nonsense"', "*"):
        for field in ("If-Match", "If-None-Match"):
            assert shop.commands.post("/customers", ANN, {field: tags}).status == 201


def test_if_none_match_stops_a_command_about_what_the_client_has(
    shop: System, command: Command
) -> None:
    before = shop.commands.get("/events").position
    for tags in ("*", '"1"', 'W/"1"', '"7", "1-gzip"', '"x" ,, W/"1"'):
        reply = command.send(shop, If_None_Match=tags)
        assert (reply.status, reply.slug) == (412, "stale-version"), tags
        assert reply.json["currentVersion"] == 1
    both = command.send(shop, If_Match='"1", "2"', If_None_Match='"1"')
    assert (both.status, both.slug) == (412, "stale-version")
    for tags in ("1", '"1', '*, "1"', ""):
        assert command.send(shop, If_None_Match=tags).status == 400, tags
    assert shop.commands.get("/events").position == before
    key = f"if-none-match-{next(_keys)}"
    named = {"If_Match": '"1"', "If_None_Match": '"2", "nonsense"', "Idempotency_Key": key}
    first = command.send(shop, **named)
    assert first.status in (200, 204)
    assert command.send(shop, **named).headers["idempotency-replayed"] == "true"
    other = command.send(shop, **(named | {"If_None_Match": '"2"'}))
    assert (other.status, other.slug) == (422, "idempotency-key-reused")


def test_an_orders_tag_matches_by_its_version_also_after_its_customer_was_renamed(
    shop: System,
) -> None:
    customer, product = shop.new_customer(), shop.new_product(stock=5)
    line = {"productId": product["productId"], "quantity": 1}
    body = {"customerId": customer["customerId"], "orderItems": [line]}
    path = f"/orders/{shop.commands.post('/orders', body).json['orderId']}"
    shop.wait_projected()
    read = shop.queries.get(path)
    renamed = shop.commands.put(f"/customers/{customer['customerId']}", ANN)
    shop.wait_projected()
    assert shop.queries.get(path).etag != read.etag
    deleted = shop.commands.delete(path, {"If-Match": read.etag})
    assert deleted.status == 204
    shop.wait_projected()
    was = shop.queries.get(f"{path}?asOf={renamed.position - 1}")
    assert was.etag == read.etag


def test_a_compressed_order_can_be_deleted_by_its_own_tag(shop: System) -> None:
    customer, product = shop.new_customer(), shop.new_product(stock=500)
    lines = [{"productId": product["productId"], "quantity": 1}] * 200
    body = {"customerId": customer["customerId"], "orderItems": lines}
    path = f"/orders/{shop.commands.post('/orders', body).json['orderId']}"
    shop.wait_projected()
    packed = shop.queries.get(path, {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.etag.startswith('"1-')
    assert packed.etag.endswith('-gzip"')
    for accepted in ("gzip", "identity"):
        asked = {"If-None-Match": packed.etag, "Accept-Encoding": accepted}
        again = shop.queries.get(path, asked)
        assert (again.status, again.etag) == (304, packed.etag)
    assert shop.commands.delete(path, {"If-Match": f"W/{packed.etag}"}).status == 412
    assert shop.commands.delete(path, {"If-Match": packed.etag}).status == 204


def test_the_client_names_the_version_of_what_it_adjusts_and_deletes(shop: System) -> None:
    with Storelog(shop.commands.url, shop.queries.url) as client:
        ann = client.create_customer("Ann", "ann@example.com")
        stand = client.create_product("Cake stand", "1.00", stock=5)
        placed = client.place_order(ann.customer_id, [Line(stand.product_id, 1)])
        assert (placed.version, client.get_order(placed.order_id).version) == (1, 1)
        with pytest.raises(VersionIsStale) as stale:
            client.adjust_stock(stand.product_id, 1, "counted", if_version=stand.version)
        assert stale.value.current_version == 2
        with pytest.raises(VersionIsStale):
            client.delete_order(placed.order_id, if_version=2)
        client.delete_order(placed.order_id, if_version=placed.version)
        now = client.get_product(stand.product_id)
        client.adjust_stock(stand.product_id, 1, "counted", if_version=now.version)
