"""The checks of `storelog torture` that look at Kafka and MongoDB find what is planted there."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator, Set
from dataclasses import replace
from itertools import count

import pytest
from bson.int64 import Int64

from storelog.config import Settings
from storelog.lag import read_lag
from storelog.relay import kafka_watch
from storelog.relay.topics import add_partitions, ensure_topics
from storelog.torture.checks import progress
from storelog.torture.checks.event_log import History
from storelog.torture.checks.progress import check_lag, whole_log
from storelog.torture.checks.read_model import check_checkpoints, check_documents, check_sales
from storelog.torture.checks.topics import check_topics
from storelog.torture.report import TortureReport
from support.embedded import EmbeddedServers, new_settings
from support.kafka import HostileRelay, Outgoing
from support.system import System, trade, wait_for

LANES = 3
_numbers = count()


@pytest.fixture(scope="module")
def logged(servers: EmbeddedServers) -> Iterator[Settings]:
    """A log with every kind of event, none of them in Kafka."""
    with System(new_settings(servers), ("command-service",)) as system:
        trade(system)
        yield system.settings


@pytest.fixture
def relay(logged: Settings) -> HostileRelay:
    """Sends that log to topics of the test's own."""
    prefix = f"{logged.kafka_topic_prefix}{next(_numbers)}."
    settings = replace(logged, kafka_topic_prefix=prefix)
    ensure_topics(settings, LANES)
    return HostileRelay(settings, LANES)


def empty_report() -> TortureReport:
    return TortureReport(0, [], 0, False)


def found_in_kafka(
    relay: HostileRelay, refilled: Set[str] = frozenset(), ahead: int = 0
) -> list[str]:
    """Return what is wrong with the topics, for a log that has so many events fewer than they."""
    relay.flush()
    log = whole_log(relay.settings)
    report = empty_report()
    check_topics(relay.settings, log[: len(log) - ahead], refilled, report)
    return report.breaches


def two_sales(relay: HostileRelay) -> tuple[Outgoing, Outgoing]:
    """Return the first two sales of one product."""
    sales = [o for o in relay.outgoing if o.event.event_type == "ProductSold"]
    first, second, *_ = [o for o in sales if o.event.aggregate == sales[0].event.aggregate]
    return first, second


def test_records_sent_twice_in_order_are_no_fault(relay: HostileRelay) -> None:
    relay.send_shuffled(1)
    assert found_in_kafka(relay) == []


def test_a_missing_record_is_found(relay: HostileRelay) -> None:
    missing = relay.outgoing[9].event.position
    relay.send_shuffled(2, leave_out=missing)
    assert found_in_kafka(relay) == [f"1 events are not in Kafka, first [{missing}]"]


def test_records_in_the_wrong_order_are_found_but_in_a_topic_that_was_filled_again(
    relay: HostileRelay,
) -> None:
    first, second = two_sales(relay)
    relay.send(second)
    relay.send_shuffled(3)
    (breach,) = found_in_kafka(relay)
    name, late = first.event.aggregate, second.event.version
    topic = f"{relay.settings.kafka_topic_prefix}ProductSold"
    early = f"{topic}: {name} version {first.event.version} came first after version {late}"
    assert breach.startswith(early)
    assert found_in_kafka(relay, {topic}) == []


def after_a_change_of_lanes(relay: HostileRelay) -> HostileRelay:
    """Send the first half of the log in four lanes; return what sends in five.

    Keys go to an earlier partition and to a later one by it: one is read after its repeats.
    """
    add_partitions(relay.settings, 5)
    wait_for(lambda: len(kafka_watch.ends(relay.settings)) == 5 * 10, "partitions in ten topics")
    before, after = HostileRelay(relay.settings, 4), HostileRelay(relay.settings, 5)
    moves = {
        (old.lane > new.lane) - (old.lane < new.lane)
        for old, new in zip(before.outgoing, after.outgoing, strict=True)
        if old.event.event_type == "ProductSold"
    }
    assert moves == {-1, 1}
    for outgoing in before.outgoing[: len(before.outgoing) // 2]:
        before.send(outgoing)
    before.flush()
    return after


def test_records_sent_again_after_a_change_of_lanes_are_no_fault(relay: HostileRelay) -> None:
    """An event from before the change has then come after newer ones, in the partition of today."""
    after = after_a_change_of_lanes(relay)
    for outgoing in after.outgoing[len(after.outgoing) // 2 :]:
        after.send(outgoing)
    after.flush()
    after.send_shuffled(7)
    assert found_in_kafka(relay) == []


def test_records_in_the_wrong_order_after_a_change_of_lanes_are_found(relay: HostileRelay) -> None:
    after = after_a_change_of_lanes(relay)
    rest = after.outgoing[len(after.outgoing) // 2 :]
    sales = [o for o in rest if o.event.event_type == "ProductSold"]
    early = [o for o in sales if o.event.aggregate == sales[0].event.aggregate][1]
    for outgoing in (early, *rest):
        after.send(outgoing)
    after.flush()
    after.send_shuffled(8)
    (breach,) = found_in_kafka(relay)
    version, late = sales[0].event.version, early.event.version
    assert f": {early.event.aggregate} version {version} came first after version {late}," in breach


def test_a_record_with_another_value_is_found(relay: HostileRelay) -> None:
    first, _ = two_sales(relay)
    relay.send(first, json.dumps({"eventType": "ProductSold", "payload": {}}).encode())
    relay.send_shuffled(4)
    (breach,) = found_in_kafka(relay)
    assert breach.endswith(f"position {first.event.position} is not what the log has there")


def test_a_record_that_the_log_does_not_have_is_found(relay: HostileRelay) -> None:
    relay.send_shuffled(5)
    (breach,) = found_in_kafka(relay, ahead=1)
    assert breach.endswith(f"position {len(relay.outgoing)} is in Kafka and not in the log")


def test_a_record_that_cannot_be_read_is_found(relay: HostileRelay) -> None:
    relay.send_shuffled(6)
    relay.send_rubbish("CustomerCreated", b"{")
    (breach,) = found_in_kafka(relay)
    assert breach.startswith(f"{relay.settings.kafka_topic_prefix}CustomerCreated: offset ")


def found_in_mongodb(system: System) -> tuple[list[str], list[str]]:
    """Return what is wrong with checkpoints and with documents."""
    checkpoints, documents = empty_report(), empty_report()
    check_checkpoints(system.settings, whole_log(system.settings), checkpoints)
    check_documents(system.settings, documents)
    assert checkpoints.checked["checkpoints against documents"] > 20
    return checkpoints.breaches, documents.breaches


def test_a_checkpoint_ahead_of_its_documents_and_a_wrong_document_are_found(
    system: System,
) -> None:
    trade(system)
    system.wait_projected()
    assert found_in_mongodb(system) == ([], [])
    mongo = system.mongo
    mongo.customers.update_one({"_id": 4}, {"$set": {"name": "Spoilt"}})
    checkpoints, documents = found_in_mongodb(system)
    assert checkpoints == []
    assert len(documents) == 1
    assert documents[0].startswith('verify: {"where": "mongodb.customers", "id": 4')
    mongo.orders.update_one({"_id": 2}, {"$set": {"position": Int64(1)}})
    mongo.orders.delete_one({"_id": 3})
    checkpoints, _ = found_in_mongodb(system)
    assert [breach.split(", its event")[0] for breach in sorted(checkpoints)] == [
        "a checkpoint is ahead of order 2: the document is at 1",
        "a checkpoint is ahead of order 3: the document is at 0",
    ]


def test_checkpoints_are_checked_of_the_read_model_that_is_read(system: System) -> None:
    trade(system)
    system.wait_projected()
    before = system.mongo
    assert system.cli("rebuild", "--promote").returncode == 0
    system.new_order(3, (3, 1))
    system.wait_projected()
    # It stands where it stood, and may be half filled: what is there is no promise to anybody.
    before.orders.delete_one({"_id": 3})
    assert found_in_mongodb(system) == ([], [])
    system.mongo.orders.delete_one({"_id": 3})
    (breach,), _ = found_in_mongodb(system)
    assert breach.startswith("a checkpoint is ahead of order 3: the document is at 0")


def sales_found(system: System) -> list[str]:
    report = empty_report()
    history = History(report)
    history.fold(whole_log(system.settings))
    check_sales(system.url("query-service"), history, report)
    return report.breaches


def test_wrong_sales_and_a_lag_that_stays_are_found(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade(system)
    system.wait_projected()
    assert sales_found(system) == []
    system.signal("projector", signal.SIGSTOP)
    system.new_order(1, (1, 1))
    (breach,) = sales_found(system)
    assert breach.startswith("total sales are ")
    wait_for(lambda: seconds_behind(system) >= progress.LAG_SECONDS, "a lag")
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 2.0)
    (breach,) = lag_found(system)
    assert "s after the faults the lag is Lag(" in breach
    system.signal("projector", signal.SIGCONT)
    system.wait_projected()
    monkeypatch.undo()
    assert (sales_found(system), lag_found(system)) == ([], [])


def seconds_behind(system: System) -> float:
    return asyncio.run(read_lag(system.settings)).seconds_behind


def lag_found(system: System) -> list[str]:
    report = empty_report()
    check_lag(system.settings, report, time.monotonic())
    return report.breaches
