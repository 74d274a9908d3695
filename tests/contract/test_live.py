"""GET /live: each change once, when it is readable, from any position, after any disconnection."""

import json
import signal
import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from storelog.client import Change, Line, Storelog
from support.live import LiveReader
from support.system import System, wait_for

TYPES = {
    "products": {"ProductCreated", "ProductUpdated", "ProductSold", "ProductDeleted"},
    "customers": {"CustomerCreated", "CustomerUpdated", "CustomerDeleted"},
    "orders": {"OrderCreated", "OrderDeleted"},
    "product-sold": {"ProductSold", "OrderDeleted"},
}


@pytest.fixture
def client(shop: System) -> Iterator[Storelog]:
    with Storelog(shop.settings.command_url, shop.settings.query_url) as connected:
        yield connected


def trade(client: Storelog) -> int:
    """Cause an event of every type; return the last position."""
    ann = client.create_customer("Ann", "a@b")
    client.update_customer(ann.customer_id, "Ann B", "a@b")
    lamp = client.create_product("Lamp", "0.425", 100)
    client.adjust_stock(lamp.product_id, 5, "delivery")
    first = client.place_order(
        ann.customer_id, [Line(lamp.product_id, 2), Line(lamp.product_id, 1)]
    )
    client.delete_order(first.order_id)
    client.delete_product(lamp.product_id)
    client.delete_customer(ann.customer_id)
    return client.position


def log(shop: System, after: int, topic: str | None = None) -> list[tuple[int, str]]:
    rows = shop.sql("SELECT position, event_type FROM events WHERE position > $1", after)
    wanted = set().union(*TYPES.values()) if topic is None else TYPES[topic]
    return sorted((r["position"], r["event_type"]) for r in rows if r["event_type"] in wanted)


@pytest.mark.parametrize("topic", [None, *TYPES])
def test_a_reader_gets_each_change_of_its_topics_once_in_order(
    shop: System, client: Storelog, topic: str | None
) -> None:
    start = shop.written()
    path = "/live" if topic is None else f"/live?topics={topic}"
    with LiveReader(shop.queries.url, path) as reader:
        wait_for(lambda: reader.last_id is not None, "the first heart-beat")
        last = trade(client)
        wait_for(lambda: reader.events and reader.events[-1][0] >= log(shop, start, topic)[-1][0],
                 "the changes")  # fmt: skip
    assert [(number, kind) for number, kind, _ in reader.events] == log(shop, start, topic)
    for number, kind, data in reader.events:
        facts = json.loads(data)
        assert (facts["position"], facts["eventType"]) == (number, kind)
        assert facts["aggregate"].split("-")[0].capitalize() in kind
    # The whole past comes the same way.
    with LiveReader(shop.queries.url, path, {"Last-Event-ID": "0"}) as reader:
        wait_for(lambda: reader.last_id is not None and reader.last_id >= start, "the past")
        wait_for(lambda: reader.events and reader.events[-1][0] >= log(shop, 0, topic)[-1][0], "it")
    assert [(number, kind) for number, kind, _ in reader.events] == log(shop, 0, topic)
    assert last <= shop.written()


def test_a_change_is_readable_when_it_comes(shop: System, client: Storelog) -> None:
    changes = client.follow("orders", after=shop.written())
    ann = client.create_customer("Ann", "a@b")
    lamp = client.create_product("Lamp", 1, 1_000)
    for _ in range(10):
        client.place_order(ann.customer_id, [Line(lamp.product_id, 1)])
    for change in islice(changes, 10):
        assert change.change["lines"] == 1
        reply = shop.queries.get(f"/orders/{change.change['orderId']}")
        assert reply.status == 200
        assert reply.position >= change.position


def test_following_goes_on_over_restarts_without_gap_or_double(shop: System) -> None:
    got: list[Change] = []
    begun = shop.written()
    stop = threading.Event()

    def follow() -> None:
        with Storelog(
            shop.settings.command_url, shop.settings.query_url, patience_seconds=90
        ) as reader:
            for change in reader.follow(after=begun):
                got.append(change)
                if stop.is_set():
                    return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    with Storelog(shop.settings.command_url, shop.settings.query_url) as writer:
        for name, how in (("query-service", "SIGKILL"), ("projector", "SIGKILL"),
                          ("query-service", "SIGTERM")):  # fmt: skip
            trade(writer)
            shop.signal(name, signal.Signals[how])
            trade(writer)
            shop.exit_code(name)
            shop.start(name)
            shop.wait_ready(name)
        trade(writer)
        expected = log(shop, begun)
        wait_for(lambda: len(got) >= len(expected), "all changes")
        stop.set()
        writer.create_customer("Last", "l@b")
    thread.join(30)
    assert not thread.is_alive()
    assert [(change.position, change.event_type) for change in got[: len(expected)]] == expected


def test_a_stream_ends_in_good_order_when_the_service_is_told_to_stop(shop: System) -> None:
    with LiveReader(shop.queries.url) as reader:
        wait_for(lambda: reader.last_id is not None, "the first heart-beat")
        shop.signal("query-service", signal.SIGTERM)
        try:
            assert shop.exit_code("query-service", 9) == 0
            wait_for(lambda: reader.is_over, "the end")
        finally:
            shop.start("query-service")
            shop.wait_ready("query-service")


def test_an_idle_stream_has_heart_beats_that_move_the_id_on(shop: System, client: Storelog) -> None:
    with LiveReader(shop.queries.url, "/live?topics=customers") as reader:
        wait_for(lambda: reader.heart_beats == 1, "the first heart-beat")
        client.create_product("Lamp", 1, 1)
        wait_for(lambda: reader.heart_beats >= 2, "a heart-beat")
        wait_for(lambda: reader.last_id is not None and reader.last_id >= client.position, "its id")
        assert reader.events == []


def test_a_reader_whose_topics_are_quiet_has_heart_beats_that_move_on_beside_the_others(
    shop: System, client: Storelog
) -> None:
    ann = client.create_customer("Ann", "a@b")
    lamp = client.create_product("Lamp", 1, 1_000)
    shop.wait_projected()
    with LiveReader(shop.queries.url, "/live?topics=customers") as reader:
        wait_for(lambda: reader.heart_beats == 1, "the first heart-beat")
        first = reader.last_id or 0

        def has_beaten() -> bool:
            client.place_order(ann.customer_id, [Line(lamp.product_id, 1)])
            # The pace of the load that the promise is about: some three orders a second.
            threading.Event().wait(0.2)
            return reader.heart_beats >= 2

        wait_for(has_beaten, "a heart-beat beside three orders a second", 25)
        assert first < (reader.last_id or 0) <= shop.written()
        assert reader.events == []


def test_a_stream_names_the_position_that_it_began_at(shop: System, client: Storelog) -> None:
    last = trade(client)
    # Where the read model is not there yet, it is waited for.
    for path in (f"/live?after={last}", "/live", "/live?after=0"):
        with LiveReader(shop.queries.url, path) as reader:
            assert int(reader.said["storelog-position"]) >= last
            assert "storelog-dead-letters" not in reader.said


@pytest.mark.parametrize(
    ("path", "headers", "status", "said"),
    [
        ("/live?topics=sales", {}, 422, "?topics"),
        ("/live?topics=", {}, 422, "?topics"),
        ("/live?topics=orders,", {}, 422, "?topics"),
        ("/live?after=-1", {}, 422, "?after"),
        ("/live?after=x", {}, 422, "?after"),
        ("/live?limit=1", {}, 422, "?limit"),
        ("/live", {"Last-Event-ID": "abc"}, 400, "malformed-request"),
        ("/live?after=999999999", {}, 503, "not-caught-up"),
    ],
)
def test_wrong_requests_are_rejected(
    shop: System, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    reply: Any
    with LiveReader(shop.queries.url, path, headers) as reader:
        reply = reader.refusal
    assert reply.status == status
    assert said in (reply.slug, *(reply.pointers if status == 422 else []))
