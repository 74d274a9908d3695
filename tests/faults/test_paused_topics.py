"""A topic with more waiting records than the limit is paused, and later read from there on."""

from storelog.projector.receive.merge import PAUSE_ABOVE
from storelog.read_side import POINTER_ID, POINTERS
from support.kafka import HostileRelay
from support.projected import verified, waiting_records
from support.system import System, wait_for


def adjusted(system: System, times: int) -> HostileRelay:
    """Return what a relay has to send of a product with so many changes of its stock."""
    product = system.new_product(stock=5)["productId"]
    for _ in range(times):
        body = {"delta": 1, "reason": "delivery"}
        assert system.commands.post(f"/products/{product}/stock-adjustments", body).status == 200
    return HostileRelay(system.settings)


def test_a_record_sent_again_behind_more_than_may_wait_is_found(traded: System) -> None:
    relay = adjusted(traded, times=PAUSE_ABOVE + 200)
    place = -(PAUSE_ABOVE + 200)
    missing = relay.outgoing[place]
    assert missing.event.event_type == "ProductUpdated"
    relay.send_shuffled(21, leave_out=missing.event.position)
    relay.send(missing)
    relay.flush()
    last = {"_id": missing.lane, "position": traded.written()}
    wait_for(lambda: traded.mongo.checkpoints.find_one(last), "the lane to reach its end")
    relay.announce()
    traded.wait_projected()
    verified(traded)


def test_a_topic_that_was_paused_is_read_on_after_the_lanes_were_loaded(traded: System) -> None:
    """The record that is missing is of another topic, so that nothing has to be searched."""
    relay = adjusted(traded, times=PAUSE_ABOVE + 200)
    missing = relay.outgoing[-(PAUSE_ABOVE + 201)]
    assert missing.event.event_type == "ProductCreated"
    relay.send_shuffled(22, leave_out=missing.event.position)

    def loads() -> int:
        return sum("positions=" in line for line in traded.log_lines("projector"))

    wait_for(lambda: waiting_records(traded, missing.lane) > PAUSE_ABOVE, "the topic to be full")
    before = loads()
    pointers = traded.mongo[POINTERS]
    moved = {"database": traded.mongo.name, "previous": "storelog_none"}
    pointers.update_one({"_id": POINTER_ID}, {"$set": moved}, upsert=True)
    wait_for(lambda: loads() > before, "the lanes to be loaded again")
    relay.send(missing)
    relay.flush()
    relay.announce()
    traded.wait_projected()
    # A read model that there is not is a damage to the pointer of its own.
    pointers.update_one({"_id": POINTER_ID}, {"$set": {"previous": None}})
    verified(traded)
    assert not any("a lane waits" in line for line in traded.log_lines("projector"))
