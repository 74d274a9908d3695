"""Histories: who changed what, with old and new values, for entities with few or many events."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from storelog.envelope import format_time
from support.embedded import EmbeddedServers, new_settings
from support.system import System


class Shop:
    """One hot product, sold 150 times, changed between and deleted; one customer, changed twice."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.customer = system.new_customer(name="Ann")["customerId"]
        body = {"name": "Ann B", "email": "ann@example.com", "phoneNumber": "1"}
        headers = {"X-Correlation-ID": "call-7"}
        system.commands.put(f"/customers/{self.customer}", body, headers)
        system.commands.delete(f"/customers/{self.customer}")
        self.buyer = system.new_customer()["customerId"]
        self.product = system.new_product(name="Lamp", price="2.5", stock=1000)["productId"]
        self.orders = [
            system.new_order(self.buyer, (self.product, 1 + number % 3))["orderId"]
            for number in range(75)
        ]
        renamed = {"name": "Big lamp", "price": "3"}
        system.commands.put(f"/products/{self.product}", renamed)
        adjusted = {"delta": 5, "reason": "found some"}
        system.commands.post(f"/products/{self.product}/stock-adjustments", adjusted)
        system.commands.delete(f"/orders/{self.orders[3]}")
        self.orders += [
            system.new_order(self.buyer, (self.product, 1))["orderId"] for _ in range(75)
        ]
        system.commands.delete(f"/products/{self.product}")
        system.wait_projected()

    def log(self, aggregate: str) -> list[dict[str, Any]]:
        kind, _, number = aggregate.partition("-")
        return self.system.sql(
            "SELECT position, version, event_type, recorded_at, caller, correlation_id, payload"
            " FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY version DESC",
            kind,
            int(number),
        )


@pytest.fixture(scope="module")
def shop_history(servers: EmbeddedServers) -> Iterator[Shop]:
    keys = {"STORELOG_API_KEYS": f"till:admin:{sha256(b'secret').hexdigest()}"}
    with System(new_settings(servers), environment=keys, key="secret") as system:
        yield Shop(system)


@pytest.mark.parametrize("limit", [1, 63, 64, 500])
def test_a_hot_products_events_are_all_there_page_by_page(shop_history: Shop, limit: int) -> None:
    log = shop_history.log(f"product-{shop_history.product}")
    if limit == 1:
        log = log[:5]
    pages = shop_history.system.queries.pages(f"/history/products/{shop_history.product}", limit)
    found = [item for item, _ in zip(pages, log, strict=False)]
    for event, row in zip(found, log, strict=True):
        assert (event["position"], event["version"]) == (row["position"], row["version"])
        assert event["eventType"] == row["event_type"]
        assert event["recordedAt"] == format_time(row["recorded_at"])
        assert event["caller"] == row["caller"] == "till"
        assert event["correlationId"] == row["correlation_id"]


def test_changes_have_old_and_new_values_and_each_field_the_position_that_set_it_last(
    shop_history: Shop,
) -> None:
    path = f"/history/products/{shop_history.product}"
    reply = shop_history.system.queries.get(f"{path}?limit=500")
    events = list(reversed(reply.json["items"]))
    state: dict[str, Any] = {}
    set_by: dict[str, int] = {}
    for event in events:
        assert event["changed"], event
        for change in event["changed"]:
            if change["field"] != "deleted":
                assert change["from"] == state.get(change["field"])
            state[change["field"]] = change["to"]
            set_by[change["field"]] = event["position"]
    assert reply.json["lastSetBy"] == set_by
    assert (state["name"], state["price"], state["deleted"]) == ("Big lamp", "3.00", True)
    sold = next(event for event in events if event["eventType"] == "ProductSold")
    assert sold["about"]["orderId"] == shop_history.orders[0]
    adjusted = next(e for e in events if e["about"].get("reason") == "StockAdjusted")
    assert (adjusted["about"]["delta"], adjusted["about"]["note"]) == (5, "found some")
    returned = next(e for e in events if e["about"].get("reason") == "OrderDeleted")
    assert returned["about"]["orderId"] == shop_history.orders[3]


def test_a_deleted_customer_and_order_keep_their_history(shop_history: Shop) -> None:
    queries = shop_history.system.queries
    reply = queries.get(f"/history/customers/{shop_history.customer}")
    kinds = [event["eventType"] for event in reply.json["items"]]
    assert kinds == ["CustomerDeleted", "CustomerUpdated", "CustomerCreated"]
    updated = reply.json["items"][1]
    assert updated["correlationId"] == "call-7"
    assert updated["changed"] == [
        {"field": "name", "from": "Ann", "to": "Ann B"},
        {"field": "phoneNumber", "from": None, "to": "1"},
    ]
    order = shop_history.orders[3]
    reply = queries.get(f"/history/orders/{order}")
    log = shop_history.log(f"order-{order}")
    assert [e["position"] for e in reply.json["items"]] == [row["position"] for row in log]
    assert [e["eventType"] for e in reply.json["items"]] == ["OrderDeleted", "OrderCreated"]
    assert reply.json["lastSetBy"]["deleted"] == log[0]["position"]
    first = queries.get(f"/history/orders/{order}?limit=1").json
    rest = queries.get(f"/history/orders/{order}?limit=1&cursor={first['nextCursor']}").json
    assert (len(rest["items"]), rest["nextCursor"]) == (1, None)


def test_wrong_input_is_rejected(shop_history: Shop) -> None:
    queries = shop_history.system.queries
    assert queries.get("/history/products/999999").status == 404
    assert queries.get("/history/sales/1").status == 404
    for query in ("limit=0", "limit=501", "cursor=x", "what=1"):
        assert queries.get(f"/history/products/{shop_history.product}?{query}").status == 422
    other = queries.get(f"/history/products/{shop_history.product}?limit=1").json["nextCursor"]
    reply = queries.get(f"/history/customers/{shop_history.customer}?cursor={other}")
    assert (reply.status, reply.pointers) == (422, ["?cursor"])


@pytest.mark.parametrize(
    ("collection", "change"),
    [
        ("history", {"$pop": {"entries": 1}}),
        ("products", {"$pop": {"history.entries": 1}}),
        ("products", {"$unset": {"history": ""}}),
        ("products", {"$unset": {"history.starts": ""}}),
        ("products", {"$set": {"history.starts": bytes(12)}}),
    ],
)
def test_verify_finds_and_repairs_a_wrong_bucket(
    shop_history: Shop, collection: str, change: dict[str, Any]
) -> None:
    system, product = shop_history.system, shop_history.product
    damaged = f"product-{product}/1" if collection == "history" else product
    done = system.mongo[collection].update_one({"_id": damaged}, change)
    assert done.modified_count == 1
    verified = system.cli("verify", "--json")
    assert verified.returncode == 1
    places = {d["where"] for d in json.loads(verified.stdout.splitlines()[-1])["differences"]}
    assert places == {"mongodb.history"}
    assert system.cli("verify", "--repair").returncode == 1
    assert system.cli("verify").returncode == 0
