"""Where a 201 says that the new entity is: on the Query Service, not on the sender."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.embedded import EmbeddedServers, new_settings
from support.http import Client, Reply
from support.system import ANN, CAKE_STAND, System

PUBLIC = "https://shop.example/queries"


def order_body(shop: System) -> Any:
    customer, product = shop.new_customer(), shop.new_product()
    line = {"productId": product["productId"], "quantity": 1}
    return {"customerId": customer["customerId"], "orderItems": [line]}


BODIES: dict[str, Callable[[System], Any]] = {
    "customer": lambda _: ANN,
    "product": lambda _: CAKE_STAND,
    "order": order_body,
}


def create(shop: System, kind: str, key: str | None = None) -> Reply:
    headers = {} if key is None else {"Idempotency-Key": key}
    made = shop.commands.post(f"/{kind}s", BODIES[kind](shop), headers)
    assert made.status == 201
    return made


@pytest.mark.parametrize("kind", BODIES)
def test_location_is_an_address_at_which_the_new_entity_can_be_read(
    shop: System, kind: str
) -> None:
    made = create(shop, kind)
    shop.wait_projected()
    location = made.headers["location"]
    assert location == f"{shop.settings.query_url}/{kind}s/{made.json[f'{kind}Id']}"
    address = urlsplit(location)
    found = Client(f"{address.scheme}://{address.netloc}").get(address.path)
    assert (found.status, found.json[f"{kind}Id"]) == (200, made.json[f"{kind}Id"])


def test_location_is_relative_where_no_address_is_configured_and_a_key_keeps_its_own(
    servers: EmbeddedServers,
) -> None:
    settings = new_settings(servers)
    only = ("command-service",)
    with System(settings, only, {"STORELOG_QUERY_URL": ""}) as quiet:
        first = {kind: create(quiet, kind) for kind in BODIES}
        for kind, made in first.items():
            assert made.headers["location"] == f"/{kind}s/{made.json[f'{kind}Id']}"
        remembered = create(quiet, "customer", "kept")
    with System(settings, only, {"STORELOG_QUERY_URL": f"{PUBLIC}/"}) as named:
        for kind in BODIES:
            made = create(named, kind)
            assert made.headers["location"] == f"{PUBLIC}/{kind}s/{made.json[f'{kind}Id']}"
        again = create(named, "customer", "kept")
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == remembered.headers["location"]
