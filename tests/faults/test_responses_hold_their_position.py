"""A response at position P includes every event up to P: under load, with the projector killed."""

import signal
import threading
import time
from dataclasses import dataclass

import pytest

from support.http import Reply
from support.kafka import HostileRelay
from support.log import Log
from support.system import System

PHASE_SECONDS = 90.0
POSITIONS = 4
KILLS = 2
HEAD = "/events?after=9000000000000000000&limit=1"


@dataclass
class Seen:
    """A response, and the log's end after it."""

    reply: Reply
    head: int


class Load:
    """Orders and deletions, one after the other, by one writer."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.customers = [system.new_customer()["customerId"] for _ in range(4)]
        self.products = [
            system.new_product(price="0.425", stock=100_000)["productId"] for _ in range(4)
        ]
        self.stop = threading.Event()

    def run(self) -> None:
        number = 0
        # At a pace that the embedded read side can follow: what is looked for is order, not speed.
        while not self.stop.wait(0.02):
            number += 1
            customer = self.customers[number % 4]
            lines = [{"productId": p, "quantity": 1 + number % 3} for p in self.products[:2]]
            body = {"customerId": customer, "orderItems": lines}
            reply = self.system.commands.post("/orders", body)
            assert reply.status == 201, reply.raw
            if number % 5 == 0:
                self.system.commands.delete(f"/orders/{reply.json['orderId']}")
            if number % 7 == 0:
                body = {"name": f"N{number}", "email": "n@x"}
                self.system.commands.put(f"/customers/{customer}", body)


def observe(load: Load, paths: list[str]) -> dict[str, list[Seen]]:
    """Read under load; kill the projector each time it has gone on from where it was killed."""
    system = load.system
    seen: dict[str, list[Seen]] = {path: [] for path in paths}
    for kill in range(KILLS + 1):
        begun, give_up_at = system.written(), time.monotonic() + PHASE_SECONDS
        positions: set[int] = set()
        while len(positions) < POSITIONS or max(positions) <= begun:
            assert time.monotonic() < give_up_at, (begun, positions, system.log("projector"))
            for path in paths:
                reply = system.queries.get(path)
                assert reply.status == 200, reply.raw
                seen[path].append(Seen(reply, system.commands.get(HEAD).position))
                positions.add(reply.position)
        if kill < KILLS:
            system.signal("projector", signal.SIGKILL)
            system.start("projector")
    return seen


@pytest.mark.alone
def test_a_response_at_position_p_includes_every_event_up_to_p(system: System) -> None:
    load = Load(system)
    system.wait_projected()
    writer = threading.Thread(target=load.run)
    writer.start()
    paths = ["/orders?limit=500", "/analytics/total-sales", f"/customers/{load.customers[0]}"]
    try:
        seen = observe(load, paths)
    finally:
        load.stop.set()
        writer.join()
    system.wait_ready("projector")
    again = HostileRelay(system.settings)
    again.send_shuffled(5)
    again.announce()
    system.wait_projected()
    seen["/analytics/total-sales"].append(
        Seen(system.queries.get("/analytics/total-sales"), system.written())
    )
    log = Log(system)
    for each in seen["/orders?limit=500"]:
        found = {order["orderId"] for order in each.reply.json["items"]}
        log.check_orders(each.reply.position, each.head, found, is_cut=len(found) == 500)
    for each in seen["/analytics/total-sales"]:
        assert each.reply.json == log.total(each.reply.position)
    for each in seen[paths[2]]:
        at_least = log.version(f"customer-{load.customers[0]}", each.reply.position)
        assert int(each.reply.etag.strip('"').removeprefix("W/").strip('"')) >= at_least
