"""Positions: on every response, waited for, and a 503 with the reason where they do not come."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from storelog.config import Settings
from storelog.envelope import format_time, utc_now
from support.http import Reply
from support.kafka import HostileRelay
from support.live import LiveReader
from support.system import System, wait_for

PATHS = [
    "/customers", "/customers/{c}", "/customers/{c}/orders", "/products", "/products/{p}",
    "/orders", "/orders/{o}", "/product-sold", "/analytics/total-sales",
    "/analytics/product-totals", "/analytics/sales-by-day", "/analytics/top-customers",
]  # fmt: skip


@pytest.fixture
def held_back(settings: Settings) -> Iterator[System]:
    """A log of four events that reaches Kafka only when the test sends it."""
    with System(settings, ("command-service", "projector", "query-service")) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product()["productId"]
        system.new_order(customer, (product, 1))
        yield system


@pytest.mark.parametrize("path", PATHS)
def test_a_read_that_waits_for_a_write_has_it(shop: System, path: str) -> None:
    customer, product = shop.new_customer()["customerId"], shop.new_product()["productId"]
    body = {"customerId": customer, "orderItems": [{"productId": product, "quantity": 1}]}
    placed = shop.commands.post("/orders", body)
    filled = path.format(c=customer, p=product, o=placed.json["orderId"])
    headers = {"Storelog-Wait-For": str(placed.position), "Prefer": "wait=30"}
    reply = shop.queries.get(filled, headers)
    assert reply.status == 200, reply.raw
    assert reply.position >= placed.position


def test_every_response_of_the_log_names_its_position(shop: System) -> None:
    made = shop.commands.post("/customers", {"name": "Eve", "email": "e@x"})
    assert shop.commands.get("/events?limit=1").position >= made.position
    path = f"/customers/{made.json['customerId']}"
    changed = shop.commands.put(path, {"name": "Eva", "email": "e@x"})
    assert changed.position > made.position
    assert shop.commands.delete(path).position > changed.position


@pytest.mark.alone
def test_a_position_that_never_comes_is_503_and_says_how_far_it_is(shop: System) -> None:
    customer, product = shop.new_customer()["customerId"], shop.new_product()["productId"]
    order = shop.new_order(customer, (product, 1))["orderId"]
    shop.wait_projected()
    asked = {"Storelog-Wait-For": "999999999", "Prefer": "wait=1"}

    def read(path: str) -> tuple[float, Reply]:
        began = time.monotonic()
        filled = path.format(c=customer, p=product, o=order)
        return began, shop.queries.get(filled, asked)

    with ThreadPoolExecutor(len(PATHS)) as pool:
        replies = list(pool.map(read, PATHS))
    for began, reply in replies:
        assert 0.9 < time.monotonic() - began < 10
        assert (reply.status, reply.slug) == (503, "not-caught-up")
        assert reply.json["waitedFor"] == 999_999_999
        assert 0 < reply.json["position"] < 999_999_999
        assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize("position", ["", "-1", "1.5", "x", "99999999999999999999", "1,2"])
def test_an_invalid_position_is_400(shop: System, position: str) -> None:
    reply = shop.queries.get("/orders", {"Storelog-Wait-For": position})
    assert (reply.status, reply.slug) == (400, "malformed-request")


def test_a_wait_that_is_no_number_is_400_and_other_preferences_are_let_be(shop: System) -> None:
    reply = shop.queries.get("/orders", {"Storelog-Wait-For": "1", "Prefer": "wait=soon"})
    assert (reply.status, reply.slug) == (400, "malformed-request")
    reply = shop.queries.get("/orders", {"Prefer": "respond-async, wait=3; x=y, handling=lenient"})
    assert reply.status == 200


def test_many_waiting_lists_all_get_the_write_once_it_is_projected(held_back: System) -> None:
    written = held_back.written()
    headers = {"Storelog-Wait-For": str(written), "Prefer": "wait=30"}

    def read(_: int) -> int:
        return held_back.queries.get("/analytics/total-sales", headers).position

    with ThreadPoolExecutor(200) as pool:
        waiting = [pool.submit(read, number) for number in range(200)]
        relay = HostileRelay(held_back.settings)
        relay.send_shuffled(1)
        relay.announce()
        assert all(future.result() >= written for future in waiting)


@pytest.mark.alone
def test_a_dead_letter_is_named_to_whom_it_concerns_and_to_no_other(held_back: System) -> None:
    relay = HostileRelay(held_back.settings)
    victim = next(o for o in relay.outgoing if o.event.event_type == "ProductSold")
    for outgoing in relay.outgoing:
        relay.send(outgoing, b"not json" if outgoing is victim else None)
    relay.flush()
    relay.announce()
    held_back.wait_projected()
    parked = {"position": victim.event.position, "aggregate": victim.event.aggregate}
    headers = {"Storelog-Wait-For": str(victim.event.position), "Prefer": "wait=30"}
    for path in ("/orders", "/analytics/total-sales", f"/products/{victim.event.aggregate_id}"):
        began = time.monotonic()
        reply = held_back.queries.get(path, headers)
        assert (reply.status, reply.slug) == (503, "not-caught-up")
        assert reply.json["deadLetter"] == parked
        assert time.monotonic() - began < 10
    for path in ("/customers/1", "/orders/1"):
        assert held_back.queries.get(path, headers).status == 200
    before = {"Storelog-Wait-For": str(victim.event.position - 1)}
    assert held_back.queries.get("/orders", before).status == 200


@pytest.fixture
def renamed(held_back: System) -> int:
    """The position of the new name of the first order's customer, which is a dead letter."""
    body = {"name": "Ann B", "email": "a@b"}
    position = held_back.commands.put("/customers/1", body).position
    relay = HostileRelay(held_back.settings)
    for outgoing in relay.outgoing:
        relay.send(outgoing, b"not json" if outgoing.event.position == position else None)
    relay.flush()
    relay.announce()
    held_back.wait_projected()
    return position


def test_an_order_waits_for_its_customers_name_too(held_back: System, renamed: int) -> None:
    for path in ("/orders/1", f"/orders/1?asOf={renamed}", "/customers/1"):
        reply = held_back.queries.get(path, {"Storelog-Wait-For": str(renamed)})
        assert (reply.status, reply.slug) == (503, "not-caught-up"), path
        assert reply.json["deadLetter"] == {"position": renamed, "aggregate": "customer-1"}
    for headers in ({}, {"Storelog-Wait-For": str(renamed - 1)}):
        reply = held_back.queries.get("/orders/1", headers)
        assert (reply.status, reply.json["customerName"]) == (200, "Ann Miller")
    then = f"/orders/1?asOf={renamed}"
    assert held_back.queries.get(then).json["customerName"] == "Ann Miller"
    assert held_back.cli("dead-letters", "retry").returncode == 0
    assert held_back.queries.get(then).json["customerName"] == "Ann B"
    reply = held_back.queries.get("/orders/1", {"Storelog-Wait-For": str(renamed)})
    assert (reply.status, reply.json["customerName"]) == (200, "Ann B")


def test_live_readers_below_a_retried_change_receive_it(held_back: System, renamed: int) -> None:
    with LiveReader(held_back.queries.url) as past_it:
        assert past_it.said["storelog-position"] == str(renamed)
        assert past_it.said["storelog-dead-letters"] == "1"
        assert held_back.cli("dead-letters", "retry").returncode == 0
        with LiveReader(held_back.queries.url, f"/live?after={renamed - 1}") as before_it:
            wait_for(lambda: before_it.events, "the change")
        assert [event[:2] for event in before_it.events] == [(renamed, "CustomerUpdated")]
        heard = past_it.heart_beats
        wait_for(lambda: past_it.heart_beats > heard, "a heart-beat")
        assert past_it.events == []


@pytest.mark.alone
def test_a_time_that_is_not_all_here_is_503_and_says_how_far_it_is(shop: System) -> None:
    shop.new_customer()
    shop.wait_projected()
    there = shop.written()
    shop.signal("projector", signal.SIGSTOP)
    try:
        shop.new_customer()
        at = format_time(utc_now())
        paths = ("/customers", "/customers/1", "/analytics/total-sales", "/history/customers/1")
        for path in paths:
            began = time.monotonic()
            reply = shop.queries.get(f"{path}?asOf={at}", {"Prefer": "wait=1"})
            assert 0.9 < time.monotonic() - began < 10
            assert (reply.status, reply.slug) == (503, "not-caught-up")
            assert (reply.json["waitedFor"], reply.json["position"]) == (at, there)
            assert int(reply.headers["retry-after"]) >= 1
    finally:
        shop.signal("projector", signal.SIGCONT)
    reply = shop.queries.get(f"/customers?asOf={at}", {"Prefer": "wait=30"})
    assert (reply.status, reply.position) == (200, there + 1)


@pytest.mark.alone
def test_a_preference_of_many_spaces_holds_up_nobody(shop: System) -> None:
    # It once took a minute to read, during which no request got a response.
    began = time.monotonic()
    asked = {"Prefer": "wait=" + " " * 60_000 + 'x"y'}
    assert shop.queries.get("/customers", asked).status == 200
    assert time.monotonic() - began < 5
