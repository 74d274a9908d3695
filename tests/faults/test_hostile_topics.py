"""Topics repeated, shuffled, late and replayed: the same bytes, no wrong response on the way."""

import json
from collections import deque

import pytest

from storelog.envelope import utc_now
from storelog.projector.checkpoints import load
from support.http import Reply
from support.kafka import HostileRelay, read_topics
from support.log import Log
from support.read_model import documents, undisturbed
from support.system import System, wait_for


class Reader:
    """Reads lists and totals, and checks each response against the log up to its position."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._log = Log(system)
        self._head = system.written()
        self._last = 0
        self._checks = deque((self._orders, self._products, self._figures))
        self.positions: set[int] = set()

    def read_all(self) -> None:
        for check in self._checks:
            check()

    def read_next(self) -> None:
        """Do one of the reads, each in its turn."""
        self._checks.rotate()
        self._checks[0]()

    def _orders(self) -> None:
        reply = self._get("/orders?limit=500")
        orders = reply.json["items"]
        found = {order["orderId"] for order in orders}
        self._log.check_orders(reply.position, self._head, found, is_cut=False)
        self._log.check_order_bodies(orders)

    def _products(self) -> None:
        reply = self._get("/products?limit=500")
        self._log.check_products(reply.position, reply.json["items"])

    def _figures(self) -> None:
        reply = self._get("/analytics/total-sales")
        assert reply.json == self._log.total(reply.position)

    def _get(self, path: str) -> Reply:
        reply = self._system.queries.get(path)
        assert reply.status == 200, reply.raw
        assert "storelog-dead-letters" not in reply.headers
        assert reply.position >= self._last
        self._last = reply.position
        self.positions.add(reply.position)
        return reply


def wait_held_up(system: System, relay: HostileRelay, late: str) -> None:
    """Wait until each lane is as far as it can be without a topic."""
    places = dict.fromkeys((outgoing.lane for outgoing in relay.outgoing), 0)
    held: set[int] = set()
    for outgoing in relay.outgoing:
        if outgoing.event.event_type == late:
            held.add(outgoing.lane)
        if outgoing.lane not in held:
            places[outgoing.lane] = outgoing.event.position

    def lanes() -> dict[int, int]:
        return {place.lane: place.position for place in load(system.mongo, [*places])}

    assert held
    wait_for(lambda: lanes() == places, f"the lanes to stop at {places}, they are at {lanes()}")


def wait_replayed(system: System, relay: HostileRelay, topic: str) -> None:
    """Wait until a topic is read to its end: what is dropped shows in the offsets only."""
    name = system.settings.kafka_topic_prefix + topic
    ends: dict[int, int] = {}
    for message in read_topics(system.settings, [name]):
        ends[message.partition() or 0] = (message.offset() or 0) + 1

    def is_read() -> bool:
        relay.announce(read_at=utc_now())
        places = load(system.mongo, [*ends])
        return {place.lane: place.offsets.get(name) for place in places} == ends

    assert ends
    wait_for(is_read, f"{topic} to be read to {ends}")


@pytest.mark.parametrize(
    ("seed", "late"), [(1, "OrderDeleted"), (2, "ProductSold"), (3, "ProductCreated")]
)
def test_hostile_topics_make_the_same_bytes_and_no_wrong_response_on_the_way(
    traded: System, seed: int, late: str
) -> None:
    for _ in range(16):  # So that a product's history fills a bucket, which is closed.
        traded.new_order(3, (3, 1))
    expected = undisturbed(traded)
    assert all(expected.values()), {name: len(found) for name, found in expected.items()}
    relay, reader = HostileRelay(traded.settings), Reader(traded)
    # Each event's watermark comes before the event, so a response can have any position.
    relay.announce_each()
    is_late = False
    for outgoing in relay.shuffled(seed, last_topic=late):
        if outgoing.event.event_type == late and not is_late:
            is_late = True
            wait_held_up(traded, relay, late)
            reader.read_all()
        relay.send(outgoing)
        relay.flush()
        reader.read_next()
    # A relay says so every second.
    relay.announce()
    traded.wait_projected()
    assert len(reader.positions) > 3
    for topic in ("ProductSold", late):
        relay.replay(topic)
        reader.read_all()
        wait_replayed(traded, relay, topic)
        reader.read_all()
    assert documents(traded.mongo) == expected
    done = traded.cli("verify", "--json")
    report = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, report["position"]) == (0, traded.written()), report["differences"]
