"""Compares Kafka with the log: it has every event, in version order per key and partition.

Repeated records have no order, so only first occurrences are compared. A topic that a fault deleted
was filled again afterwards, so it is only searched for the events. Records that a fault sent are
left out. Time tells the first occurrence: after a change of lanes a repeated record is in another
partition than the first one, behind newer events of its key.
Next: torture/checks/endings.py
"""

import time
from collections import defaultdict
from collections.abc import Sequence, Set

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.errors import CannotRun, PoisonRecord
from storelog.event_codec import kafka_value
from storelog.kafka import client_settings, event_topics
from storelog.projector.receive.record import Record, read_record
from storelog.torture.report import TortureReport

READ_SECONDS = 120.0
FOREIGN_KEY = b"torture"


def check_topics(
    settings: Settings, log: Sequence[Envelope], refilled: Set[str], report: TortureReport
) -> None:
    """Read all nine topics and compare them. Raises CannotRun when Kafka is away."""
    seen: set[int] = set()
    newest: dict[tuple[str, str, int], int] = defaultdict(int)
    for topic in event_topics(settings):
        for message in _as_sent(_read_topic(settings, topic)):
            report.count("records", 1)
            record = _record(message, report)
            if record is None or record.position in seen:
                continue
            seen.add(record.position)
            _compare(record, log, topic, report)
            # A key may have moved to another partition when the number of lanes was raised.
            place = (topic, record.key, record.lane)
            if record.version < newest[place] and topic not in refilled:
                report.breach(
                    f"{topic}: {record.key} version {record.version} came first after version"
                    f" {newest[place]}, at offset {record.offset} of partition {record.lane}"
                )
            newest[place] = max(newest[place], record.version)
    missing = [event.position for event in log if event.position not in seen]
    if missing:
        report.breach(f"{len(missing)} events are not in Kafka, first {missing[:10]}")


def _compare(record: Record, log: Sequence[Envelope], topic: str, report: TortureReport) -> None:
    event = log[record.position - 1] if record.position <= len(log) else None
    if event is None:
        report.breach(f"{topic}: position {record.position} is in Kafka and not in the log")
    elif (record.hash, record.key, record.version, record.value) != (
        event.hash.hex(),
        event.aggregate,
        event.version,
        kafka_value(event.event_type, event.payload),
    ):
        report.breach(f"{topic}: position {record.position} is not what the log has there")


def _record(message: Message, report: TortureReport) -> Record | None:
    try:
        return read_record(message)
    except PoisonRecord as poison:
        report.breach(f"{message.topic()}: offset {message.offset()}: {poison}")
        return None


def _as_sent(messages: Sequence[Message]) -> list[Message]:
    """Return the records of all partitions in the order of sending.

    They are sorted by time without changing the order within a partition. A consumer delivers
    partitions in any order.
    """
    newest: dict[int | None, int] = defaultdict(int)

    def sent_at(message: Message) -> int:
        lane = message.partition()
        newest[lane] = max(newest[lane], message.timestamp()[1])
        return newest[lane]

    return sorted(messages, key=sent_at)


def _read_topic(settings: Settings, topic: str) -> list[Message]:
    """Return the topic's records. Ends are told by events: the last offset may be a marker."""
    own = {"group.id": "storelog-torture", "enable.partition.eof": True}
    consumer = Consumer({**client_settings(settings), **own})
    try:
        left = set(consumer.list_topics(topic, 10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, lane, 0) for lane in left])
        found: list[Message] = []
        give_up_at = time.monotonic() + READ_SECONDS
        while left:
            for message in consumer.consume(2_000, 0.5):
                error = message.error()
                if error is None and message.key() != FOREIGN_KEY:
                    found.append(message)
                elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition() or 0)
            if time.monotonic() > give_up_at:
                raise CannotRun(f"Kafka gave {len(found)} records of {topic}, but not the last one")
        return found
    finally:
        consumer.close()
