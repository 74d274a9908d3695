"""What a discarded event leaves out: the same in documents, totals, asOf, verify and rebuilds."""

import json
from decimal import Decimal
from typing import Any

from storelog.event_codec import lane_of
from support.poison import PoisonRelay
from support.system import System, wait_for


def positions(relay: PoisonRelay) -> dict[tuple[str, str], list[int]]:
    """Return where the events of each type and aggregate are."""
    found: dict[tuple[str, str], list[int]] = {}
    for outgoing in relay.outgoing:
        event = outgoing.event
        found.setdefault((event.event_type, event.aggregate), []).append(event.position)
    return found


def send_with_poison(system: System, poisoned: list[int]) -> PoisonRelay:
    """Send the log, the events at these positions without a value, and wait for all of it."""
    relay = PoisonRelay(system)
    keys = {o.event.position: o.event.aggregate.encode() for o in relay.outgoing}
    relay.send_with({position: (None, keys[position], {}) for position in poisoned})
    last = relay.outgoing[-1].event.position
    lanes = [max(o.event.position for o in relay.outgoing if o.lane == n) for n in range(3)]
    system.sql("UPDATE relay_cursor SET position = $1, lanes = $2 RETURNING 1", last, lanes)
    system.wait_projected(last)
    return relay


def done(system: System, *argv: str) -> Any:
    """Return what a command says; it must succeed."""
    ended = system.cli(*argv, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def totals(system: System, without: set[int], as_of: int | None = None) -> dict[str, Any]:
    """Sum up the log's order events, but for those at some positions."""
    amount, units, orders = Decimal(0), 0, 0
    for row in system.sql("SELECT position, event_type, payload::text FROM events"):
        sign = {"OrderCreated": 1, "OrderDeleted": -1}.get(row["event_type"], 0)
        if not sign or row["position"] in without or row["position"] > (as_of or 2**62):
            continue
        orders += sign
        for item in json.loads(row["payload"])["orderItems"]:
            units += sign * item["quantity"]
            amount += sign * item["quantity"] * Decimal(item["price"])
    return {"totalSales": f"{amount:.2f}", "unitsSold": units, "orders": orders}


def orders_with(system: System, product: int, without: set[int]) -> set[int]:
    """Return the orders with a product that the log has without the events at some positions."""
    found: set[int] = set()
    events = "SELECT position, event_type, payload::text FROM events ORDER BY position"
    for row in system.sql(events):
        order = json.loads(row["payload"])
        if row["position"] in without:
            continue
        if row["event_type"] == "OrderDeleted":
            found.discard(order["orderId"])
        items = order["orderItems"] if row["event_type"] == "OrderCreated" else []
        if product in {item["productId"] for item in items}:
            found.add(order["orderId"])
    return found


def assert_orders_are_found_and_sales_are_not(
    system: System, product: int, without: set[int]
) -> None:
    for as_of in ("", f"&asOf={system.written()}"):
        orders = system.queries.pages(f"/orders?productId={product}{as_of}")
        assert {order["orderId"] for order in orders} == orders_with(system, product, without)
        assert list(system.queries.pages(f"/product-sold?productId={product}{as_of}")) == []


def test_what_is_discarded_is_left_out_alike_of_documents_totals_verify_and_rebuilds(
    traded: System,
) -> None:
    at = positions(PoisonRelay(traded))
    created, sold = at["OrderCreated", "order-1"][0], at["ProductSold", "product-3"][2]
    product, customer = at["ProductCreated", "product-4"][0], at["CustomerCreated", "customer-3"][0]
    changed, deleted = at["ProductUpdated", "product-1"][-1], at["OrderDeleted", "order-6"][0]
    early, late = at["OrderCreated", "order-11"][0], at["OrderDeleted", "order-11"][0]
    renamed = at["CustomerUpdated", "customer-1"][0]
    everything = [created, sold, product, customer, changed, deleted, early, renamed]
    send_with_poison(traded, everything)
    assert done(traded, "verify")["differences"] == []

    # Behind what is parked, before it is retried; and a retry before any of the discards.
    done(traded, "dead-letters", "discard", str(late))
    done(traded, "dead-letters", "retry", str(early), str(renamed))
    discarded = [customer, changed, deleted, sold, created, product]
    for position in discarded:
        done(traded, "dead-letters", "discard", str(position))
        if position in (created, product):
            assert position in (report := done(traded, "verify"))["discarded"]
    assert report["discarded"] == sorted([*discarded, late])
    assert done(traded, "dead-letters", "list")["items"] == []

    # What comes later goes by the same.
    traded.start("relay")
    traded.wait_ready("relay")
    traded.new_order(3, (4, 5), (3, 1))
    traded.commands.put("/customers/3", {"name": "Never seen", "email": "a@b"})
    traded.wait_projected()
    gone = at["OrderDeleted", "order-1"][0]
    without = {created, gone, deleted, late}
    queries = traded.queries
    assert queries.get("/analytics/total-sales").json == totals(traded, without)
    past = created + 5
    as_then = queries.get(f"/analytics/total-sales?asOf={past}").json
    assert as_then == totals(traded, without, past)
    for path in ("/products/4", "/customers/3", "/orders/1"):
        assert queries.get(path).status == 404, path
        assert queries.get(f"{path}?asOf={traded.written()}").status == 404, path
    assert queries.get("/orders/6").status == queries.get("/orders/11").status == 200
    sold_of = queries.get("/analytics/product-totals").json["items"]
    by_product = {item["productId"]: item["unitsSold"] for item in sold_of}
    assert by_product[4] > 5, "the sales of a product that is left out count through their orders"
    assert_orders_are_found_and_sales_are_not(traded, 4, without)
    assert done(traded, "verify", "--repair")["differences"] == []
    assert done(traded, "rebuild", "--from", "log")["differences"] == []
    # Kafka still has what was spoilt there, and retried from the log.
    found = done(traded, "rebuild", "--from", "kafka")["differences"]
    spoilt = {("customers", 1), ("customer_names", 1), ("orders", 11)}
    assert {(d["where"].removeprefix("mongodb."), d["id"]) for d in found} == spoilt
    done(traded, "rebuild", "--promote")
    assert done(traded, "verify")["discarded"] == sorted([*discarded, late])
    assert queries.get("/analytics/total-sales").json == totals(traded, without)

    done(traded, "rebuild", "--promote", "--restore-discarded")
    wait_for(lambda: queries.get("/products/4").status == 200, "the product that was left out")
    assert "discarded" not in done(traded, "verify")
    assert queries.get("/analytics/total-sales").json == totals(traded, set())


def test_a_parked_orders_deletion_waits_behind_it_in_a_rebuild_from_kafka_with_more_lanes(
    traded: System,
) -> None:
    at = positions(PoisonRelay(traded))
    # A customer whose lane is another one, once there are six.
    customer = next(
        n for n in range(1, 5) if lane_of(f"customer-{n}", 3) != lane_of(f"customer-{n}", 6)
    )
    order = 20 + customer if customer > 1 else 5
    poison = at["OrderCreated", f"order-{order}"][0]
    send_with_poison(traded, [poison])
    traded.start("relay")
    traded.wait_ready("relay")
    done(traded, "lanes", "set", "6")
    assert traded.commands.delete(f"/orders/{order}").status == 204
    traded.wait_projected()
    built = done(traded, "rebuild", "--from", "kafka")["database"]
    letters = traded.mongo.client[built].dead_letters
    states = {x["position"]: (x["state"], x["lane"]) for x in letters.find({})}
    lane = lane_of(f"customer-{customer}", 6)
    last = traded.written()
    deletion = traded.sql(
        "SELECT position FROM events WHERE aggregate_type = 'order' AND aggregate_id = $1"
        " AND version = 2",
        order,
    )[0]["position"]
    assert states == {poison: ("parked", lane), deletion: ("waiting", lane)}, last
    assert traded.mongo.client[built].orders.find_one({"_id": order}) is None
