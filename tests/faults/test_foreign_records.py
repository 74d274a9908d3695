"""Records on the topics that are not the relay's: they stop nothing, and one command ends them."""

import json
import signal
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from confluent_kafka import Producer

from storelog.config import Settings
from storelog.kafka import client_settings, event_topics, watermark_topic
from storelog.projector.receive.foreign import MAX_KEPT
from storelog.relay.topics import ensure_topics
from storelog.shop.events import EVENT_TYPES
from support.embedded import EmbeddedServers, new_settings
from support.kafka import HostileRelay, delete_topic, read_events
from support.system import ANN, System, wait_for

LANES = 3
MANY = 5_000


@pytest.fixture(scope="module")
def busy(servers: EmbeddedServers) -> Iterator[System]:
    with System(new_settings(servers)) as system:
        yield system


def producer_of(system: System, **settings: Any) -> Producer:
    return Producer({**client_settings(system.settings), **settings})


def send_everywhere(system: System, headers: dict[str, bytes], value: bytes = b"{}") -> int:
    """Send a record to each partition of the nine topics; return how many these are."""
    producer, topics = producer_of(system), event_topics(system.settings)
    for topic in topics:
        for lane in range(LANES):
            producer.produce(topic, value, b"x", partition=lane, headers=list(headers.items()))
    assert producer.flush(30) == 0
    return len(topics) * LANES


def restart_relay(system: System) -> None:
    system.signal("relay", signal.SIGTERM)
    assert system.exit_code("relay") == 0
    system.start("relay")
    system.wait_ready("relay")


def check_all_goes_on(system: System) -> None:
    """Check that a new customer is in the read model, and that no process has ended."""
    number = system.new_customer()["customerId"]
    system.wait_projected()
    assert system.queries.get(f"/customers/{number}").status == 200
    assert len(system.pids()) == 4


def lag(system: System) -> dict[str, Any]:
    """Return what `storelog lag` says, once MongoDB has time to respond."""
    done = wait_for(lambda: (it := system.cli("lag", "--json")).returncode == 0 and it, "the lag")
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def wait_foreign(system: System, number: int) -> None:
    letters = system.mongo.dead_letters

    def found() -> int:
        beyond = letters.find({"state": "not-kept"})
        kept = letters.count_documents({"state": "foreign"})
        return kept + sum(int(counted["records"]) for counted in beyond)

    wait_for(lambda: found() >= number, f"{number} foreign records; {system.log('projector')}")
    # What a slow server made the projector write again may be counted again.
    assert number <= lag(system)["foreign"] <= 2 * number


def verified(system: System) -> None:
    """Check that `storelog verify` finds nothing, once MongoDB has time to respond."""
    done = wait_for(lambda: (it := system.cli("verify", "--json")).returncode < 3 and it, "verify")
    assert done.returncode == 0, done.stdout


def discard(system: System) -> None:
    done = system.cli("dead-letters", "discard", "--foreign", "--json")
    assert done.returncode == 0, done.stderr
    assert lag(system)["foreign"] == 0
    assert "no dead letters" in system.cli("dead-letters", "list").stdout


def test_records_with_forged_headers_stop_neither_the_relay_nor_the_projector(
    busy: System,
) -> None:
    system = busy
    for _ in range(4):
        system.new_customer()
    system.wait_projected()
    next_position = system.written() + 1
    zeros = b"00" * 32
    pairs: Any = read_events(system.settings)[-1].headers()

    def forged(position: int, **changes: bytes) -> dict[str, bytes]:
        """Return the headers of a genuine record, with another place in the log."""
        return dict(pairs) | {"position": b"%d" % position, "lane_previous": b"0"} | changes

    bare = {"position": b"7", "hash": b"00"}
    kinds = [
        bare,
        bare | {"lane_previous": b"0"},
        forged(7, hash=zeros),
        forged(next_position, hash=zeros),
        forged(next_position, lane_previous=b"%d" % (next_position - 1)),
        forged(2**63),
        {},
        {k: v for k, v in forged(next_position).items() if k != "proof"},
        {k: v for k, v in forged(next_position).items() if k != "previous_hash"},
    ]
    sent = sum(send_everywhere(system, headers) for headers in kinds)
    for mark in (
        {"position": 7, "hash": "00", "recordedAt": None, "lanes": [7, 7, 7]},
        {"position": 2, "hash": zeros.decode(), "recordedAt": None, "lanes": [10**9] * 3},
        {"position": 10**9, "hash": zeros.decode(), "recordedAt": None, "lanes": [0, 0, 0]},
    ):
        producer = producer_of(system)
        for lane in range(LANES):
            topic, value = watermark_topic(system.settings), json.dumps(mark).encode()
            producer.produce(topic, value, b"watermark", partition=lane)
        assert producer.flush(30) == 0
        sent += LANES
    check_all_goes_on(system)
    restart_relay(system)
    check_all_goes_on(system)
    wait_foreign(system, sent)
    assert lag(system)["dead_letters"] == 0
    items = json.loads(system.cli("dead-letters", "list", "--json").stdout)["items"]
    assert len(items) == sent
    causes = {item["cause"] for item in items}
    assert all(cause.startswith("not a ") for cause in causes), causes
    assert not any("Error(" in cause for cause in causes), causes
    assert "it has no header `position`" in str(causes)
    assert f"{sent} records" in system.cli("lag").stdout
    verified(system)
    discard(system)


def test_transactions_on_the_topics_stop_nothing(busy: System) -> None:
    """Their markers are never delivered, and an open one holds up waiting consumers."""
    system = busy
    open_one = producer_of(system, **{"transactional.id": "open", "transaction.timeout.ms": 60_000})
    for name, end in (
        ("committed", Producer.commit_transaction),
        ("aborted", Producer.abort_transaction),
        ("open", None),
    ):
        producer = open_one if name == "open" else producer_of(system, **{"transactional.id": name})
        producer.init_transactions(30)
        producer.begin_transaction()
        for event_type in EVENT_TYPES:
            topic = system.settings.kafka_topic_prefix + event_type
            for lane in range(LANES):
                producer.produce(topic, b"{}", b"x", partition=lane)
        mark = watermark_topic(system.settings)
        producer.produce(mark, b"{}", b"x", partition=0)
        producer.flush(30)
        if end is not None:
            end(producer, 30)
    check_all_goes_on(system)
    restart_relay(system)
    check_all_goes_on(system)
    open_one.abort_transaction(30)
    discard(system)


@pytest.mark.alone
def test_thousands_of_foreign_records_hold_up_no_customer_and_end_with_one_command(
    busy: System,
) -> None:
    system = busy
    producer = producer_of(system)
    topic = system.settings.kafka_topic_prefix + "CustomerCreated"
    for number in range(MANY):
        producer.produce(topic, b"rubbish %d " % number + bytes(1_000), b"x", partition=0)
    assert producer.flush(60) == 0
    began = time.monotonic()
    number = system.new_customer()["customerId"]
    wait_for(lambda: system.queries.get(f"/customers/{number}").status == 200, "the customer")
    seconds = time.monotonic() - began
    print(f"a new customer was readable after {seconds:.1f} s behind {MANY} foreign records")
    assert seconds < 30
    wait_foreign(system, MANY)
    kept = list(system.mongo.dead_letters.find({"state": "foreign"}))
    assert MAX_KEPT / 2 < len(kept) <= MAX_KEPT
    listed = json.loads(system.cli("dead-letters", "list", "--json").stdout)
    assert len(listed["items"]) == len(kept)
    assert listed["foreign_not_kept"] >= MANY - MAX_KEPT
    found = json.loads(system.cli("doctor", "--json").stdout)["findings"]
    told = next(finding for finding in found if finding["name"] == "foreign records")
    assert "storelog dead-letters discard --foreign" in told["advice"]
    discard(system)
    assert system.mongo.dead_letters.count_documents({}) == 0
    restart_relay(system)
    check_all_goes_on(system)


def test_a_large_foreign_record_is_kept_in_part(busy: System) -> None:
    system = busy
    producer = producer_of(system, **{"message.max.bytes": 8_000_000})
    topic = system.settings.kafka_topic_prefix + "OrderCreated"
    headers: Any = [(f"h{n}", b"x" * 2_000) for n in range(1_000)]
    producer.produce(topic, b"y" * 4_000_000, b"k" * 10_000, partition=1, headers=headers)
    assert producer.flush(60) == 0
    letter = wait_for(lambda: system.mongo.dead_letters.find_one({"state": "foreign"}), "a letter")
    assert letter["size"] < 300_000
    assert system.cli("dead-letters", "show", letter["_id"]).returncode == 0
    assert system.cli("dead-letters", "retry", letter["_id"]).returncode == 2
    assert system.cli("dead-letters", "discard").returncode == 2
    discard(system)


def test_a_record_with_another_payload_is_a_dead_letter_and_is_fixed_from_the_log(
    traded: System,
) -> None:
    relay = HostileRelay(traded.settings)
    victim = next(o for o in relay.outgoing if o.event.event_type == "CustomerCreated")
    changed = victim.event.payload.replace(b"Ann", b"Eve")
    assert sha256(changed).digest() != sha256(victim.event.payload).digest()
    for outgoing in relay.outgoing:
        value = b'{"eventType":"CustomerCreated","payload":%b}' % changed
        relay.send(outgoing, value if outgoing is victim else None)
    relay.flush()
    relay.announce()
    traded.wait_projected()
    letter = traded.mongo.dead_letters.find_one({"_id": str(victim.event.position)})
    assert letter is not None
    assert "do not make its hash" in letter["cause"]
    assert traded.cli("dead-letters", "retry").returncode == 0
    verified(traded)


def test_events_that_the_relay_has_not_sent_yet_can_be_sent(traded: System) -> None:
    written = traded.written()
    assert traded.cli("resend", "--from", "1", "--to", str(written + 1)).returncode == 2
    done = traded.cli("resend", "--from", "5", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"first": 1, "last": written, "events": written}
    found = read_events(traded.settings)
    assert len(found) == written
    traded.start("relay")
    traded.wait_projected()
    assert traded.commands.post("/customers", ANN).status == 201
    verified(traded)


def test_foreign_records_of_a_topic_that_was_made_again_are_others_than_those_of_before(
    settings: Settings,
) -> None:
    topic = f"{settings.kafka_topic_prefix}CustomerDeleted"
    ensure_topics(settings, LANES)
    with System(settings, ("projector",)) as system:

        def send(number: int) -> None:
            producer = producer_of(system)
            for _ in range(number):
                producer.produce(topic, b"rubbish", b"x", partition=1)
            assert producer.flush(30) == 0

        def count() -> int:
            return system.mongo.dead_letters.count_documents({"state": "foreign"})

        send(12)
        wait_for(lambda: count() == 12, "12 foreign records")
        # These have the places of those which are kept, and others reading has gone beyond.
        delete_topic(settings, topic)
        ensure_topics(settings, LANES)
        send(8)
        wait_for(lambda: count() == 20, f"8 more; {system.log('projector')}")
        assert system.cli("dead-letters", "discard", "--foreign").returncode == 0
        delete_topic(settings, topic)
        ensure_topics(settings, LANES)
        send(14)
        wait_for(lambda: count() == 14, f"14 more; {system.log('projector')}")
        # What was counted once, and what was discarded, does not come again.
        system.signal("projector", signal.SIGKILL)
        system.start("projector")
        system.wait_ready("projector")
        send(1)
        wait_for(lambda: count() == 15, f"one more; {system.log('projector')}")
