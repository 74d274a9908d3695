"""The projector: each event once, in order, whatever Kafka delivers or whatever is killed."""

import os
import signal
import threading
import time

import pytest
from pymongo.errors import OperationFailure

from storelog.projector.receive.merge import PAUSE_ABOVE
from support.embedded import EmbeddedServers
from support.http import Client
from support.kafka import HostileRelay
from support.projected import verified, waiting_records
from support.system import System, trade, wait_for


def position(system: System) -> int:
    return system.queries.get("/health/ready").json["position"]  # type: ignore[no-any-return]


def test_a_missing_record_is_waited_for_and_then_all_goes_on(traded: System) -> None:
    relay = HostileRelay(traded.settings)
    missing = relay.outgoing[len(relay.outgoing) // 2]
    relay.send_shuffled(4, leave_out=missing.event.position)
    relay.announce()

    def lanes() -> dict[int, int]:
        found = traded.mongo.checkpoints.find({})
        return {checkpoint["_id"]: int(checkpoint["position"]) for checkpoint in found}

    wait_for(lambda: lanes().get(missing.lane) == missing.lane_previous, "the lane to stop")
    others = {o.lane for o in relay.outgoing} - {missing.lane}
    last = {
        lane: max(o.event.position for o in relay.outgoing if o.lane == lane) for lane in others
    }
    wait_for(lambda: {lane: lanes().get(lane) for lane in others} == last, "the other lanes")
    assert position(traded) == 0
    alarm = "a lane waits for the record that follows"
    wait_for(lambda: any(alarm in line for line in traded.log_lines("projector")), "the alarm")
    wait_for(lambda: waiting_records(traded, missing.lane) > 0, "the metric to say so")
    assert lanes()[missing.lane] == missing.lane_previous
    relay.send(missing)
    relay.flush()
    traded.wait_projected()
    verified(traded)


def test_watermarks_far_ahead_of_the_events_do_not_stop_a_lane(traded: System) -> None:
    """As after a loss of MongoDB: watermarks are small, and read sooner than their events."""
    relay = HostileRelay(traded.settings)
    relay.announce(times=3 * PAUSE_ABOVE)

    metrics = Client(traded.url("projector"))
    behind = f'storelog_projector_lag_events{{lane="0"}} {traded.written()}'.encode()
    wait_for(lambda: behind in metrics.get("/metrics").raw, "the projector to read watermarks")
    # A watermark that waits shows in no metric: time for the rest of them to be read. Where it is
    # too short, fewer wait, and the events have it easier; the outcome is the same.
    threading.Event().wait(3)
    relay.send_shuffled(11)
    traded.wait_projected()
    assert verified(traded)["position"] == traded.written()


def test_a_transaction_left_open_by_another_projector_holds_up_nobody(traded: System) -> None:
    relay = HostileRelay(traded.settings)
    relay.send_shuffled(9)
    relay.announce()
    traded.wait_projected()
    traded.signal("projector", signal.SIGKILL)
    product = traded.new_product(stock=5)["productId"]
    created = HostileRelay(traded.settings)
    with traded.mongo.client.start_session() as session:
        session.start_transaction()
        taken = {"_id": product, "words": [], "position": 0}
        traded.mongo.product_names.insert_one(taken, session=session)
        left = {"session": bytes(session.session_id["id"])}
        traded.mongo.checkpoints.update_many({}, {"$set": left})
        created.send(created.outgoing[-1])
        created.flush()
        created.announce()
        traded.start("projector")
        traded.wait_projected()
        with pytest.raises(OperationFailure):
            session.commit_transaction()
    verified(traded)


def test_a_killed_projector_applies_nothing_twice(traded: System) -> None:
    relay = HostileRelay(traded.settings)
    for outgoing in relay.outgoing[:40]:
        relay.send(outgoing)
    relay.flush()
    wait_for(lambda: traded.mongo.checkpoints.find_one({"position": {"$gt": 0}}), "a checkpoint")
    traded.signal("projector", signal.SIGKILL)
    relay.send_shuffled(5)
    traded.start("projector")
    relay.announce()
    traded.wait_projected()
    verified(traded)


def test_a_checkpoint_that_is_older_than_the_documents_repeats_without_harm(
    traded: System,
) -> None:
    relay = HostileRelay(traded.settings)
    relay.send_shuffled(6)
    relay.announce()
    traded.wait_projected()
    traded.signal("projector", signal.SIGKILL)
    traded.mongo.checkpoints.delete_many({})
    traded.start("projector")
    traded.wait_projected()
    verified(traded)


def test_two_projectors_share_the_lanes(traded: System) -> None:
    with System(traded.settings, ("projector",)) as second:
        relay = HostileRelay(traded.settings)
        relay.send_shuffled(8)
        relay.announce()
        traded.wait_projected()
        second.signal("projector", signal.SIGKILL)
        traded.new_customer()
        again = HostileRelay(traded.settings)
        again.send(again.outgoing[-1])
        again.flush()
        again.announce()
        traded.wait_projected()
        verified(traded)


def test_poison_parks_its_aggregate_and_everything_else_goes_on(traded: System) -> None:
    relay = HostileRelay(traded.settings)
    victim = next(o for o in relay.outgoing if o.event.event_type == "ProductSold")
    behind = [
        o
        for o in relay.outgoing
        if o.event.aggregate == victim.event.aggregate and o.event.position > victim.event.position
    ]
    for outgoing in relay.outgoing:
        relay.send(outgoing, b"not json" if outgoing is victim else None)
    relay.send_rubbish("OrderCreated", b"\xff\x00")
    relay.flush()
    relay.announce()
    traded.wait_projected()
    reply = traded.queries.get("/orders")
    assert int(reply.headers["storelog-dead-letters"]) == 1 + len(behind)
    letters = {letter["_id"]: letter for letter in traded.mongo.dead_letters.find({})}
    parked = letters.pop(str(victim.event.position))
    assert parked["state"] == "parked"
    assert parked["value"] == b"not json"
    assert "not an event" in parked["cause"]
    assert parked["aggregate"] == victim.event.aggregate
    foreign = [letter for letter in letters.values() if letter["state"] == "foreign"]
    assert [letter["value"] for letter in foreign] == [b"\xff\x00"]
    waiting = {int(x["position"]) for x in letters.values() if x["state"] == "waiting"}
    assert waiting == {o.event.position for o in behind}
    stock = traded.mongo.products.find_one({"_id": victim.event.aggregate_id})
    assert stock is not None
    assert stock["version"] == victim.event.version - 1
    assert verified(traded)["checked"]["deadLetters"] == 1 + len(behind)


@pytest.mark.alone
def test_without_mongodb_reads_are_503_and_afterwards_nothing_is_missing(
    servers: EmbeddedServers, system: System
) -> None:
    trade(system)
    system.wait_projected()
    system.new_order(1, (1, 1))
    os.kill(servers.pid("mongodb"), signal.SIGKILL)
    customer = system.new_customer()["customerId"]
    began = time.monotonic()
    reply = system.queries.get("/orders")
    assert (reply.status, reply.slug) == (503, "unavailable")
    assert time.monotonic() - began < 3
    servers.restart("mongodb")
    system.wait_projected()
    assert system.queries.get(f"/customers/{customer}").status == 200
    verified(system)
