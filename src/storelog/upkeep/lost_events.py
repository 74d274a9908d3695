"""Finds the events that Kafka has and the log lacks, by reading the nine topics.

PostgreSQL lacks them after a failover to a server without the last commits, or a restore to an
earlier time. Only records with a valid proof count, and none of a history that was left.
Next: upkeep/recover.py
"""

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from storelog.config import Settings
from storelog.envelope import Envelope, parse_time
from storelog.errors import CannotRun, PoisonRecord
from storelog.kafka import FETCHES, client_settings, event_topics, kafka_reason
from storelog.origin import Origin
from storelog.projector.receive.proof import check_record
from storelog.projector.receive.record import Record, change_of, header_of, read_record
from storelog.relay.cursor import hash_at
from storelog.shop.events import Event

READ_SECONDS = 30.0
READ_EVENTS = 5_000
# All of them are held in memory.
MAX_LOST = 1_000_000
_CONSUMER = {
    "enable.auto.commit": False,
    "isolation.level": "read_uncommitted",
    **FETCHES,
    "enable.partition.eof": True,
}


@dataclass(frozen=True, slots=True)
class LostEvent:
    """An event in Kafka that the log lacks, as the log once had it."""

    envelope: Envelope
    event: Event


def read_after(settings: Settings, origin: Origin, position: int) -> dict[int, Record]:
    """Return Kafka's records of the log above a position. Raises CannotRun, KafkaException."""
    group = f"{settings.kafka_group_id}-recover"
    consumer = Consumer({**client_settings(settings), **_CONSUMER, "group.id": group})
    found: dict[int, Record] = {}
    try:
        known = consumer.list_topics(timeout=READ_SECONDS).topics
        unread = {
            (topic, lane)
            for topic in event_topics(settings)
            if topic in known
            for lane in known[topic].partitions
        }
        consumer.assign([TopicPartition(*place, 0) for place in unread])
        give_up_at = time.monotonic() + READ_SECONDS
        while unread:
            if time.monotonic() > give_up_at:
                raise CannotRun("Kafka does not deliver its records")
            messages = consumer.consume(READ_EVENTS, 1.0)
            if messages:
                give_up_at = time.monotonic() + READ_SECONDS
            for message in messages:
                error = message.error()
                if error is None:
                    _note(found, origin, position, message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard((message.topic() or "", message.partition() or 0))
                else:
                    raise CannotRun(f"Kafka: {kafka_reason(error)}")
    finally:
        consumer.close()
    return found


def _note(found: dict[int, Record], origin: Origin, position: int, message: Message) -> None:
    try:
        record = read_record(message)
        check_record(record, origin)
        if record.position <= position or origin.is_lost(
            header_of(record, "history"), record.position
        ):
            return
    except PoisonRecord:
        return  # the relay did not send it
    if len(found) == MAX_LOST:
        raise CannotRun(f"Kafka has more than {MAX_LOST:,} events that were not sent from this log")
    found[record.position] = record


async def find_lost(
    connection: asyncpg.Connection, settings: Settings, origin: Origin
) -> tuple[int, list[LostEvent]]:
    """Return the last position that log and Kafka share, and the later events that the log lacks.

    Raises CannotRun if an event in Kafka cannot be read, or belongs to another shop.
    """
    row = await connection.fetchrow("SELECT position, ahead_position FROM relay_cursor")
    sent = row["position"]
    records = await asyncio.to_thread(read_after, settings, origin, sent)
    common, lost = sent, []
    for position in sorted(records):
        record = records[position]
        kept = await hash_at(connection, position)
        if kept is not None and kept.hex() == record.hash:
            common = position
        else:
            lost.append(_as_written(record, settings.kafka_topic_prefix))
    lost = [each for each in lost if each.envelope.position > common]
    # A relay compares more: if it has found that the log is behind, nothing is left to check here.
    if lost and row["ahead_position"] is None:
        first = records[lost[0].envelope.position]
        before = await hash_at(connection, common)
        named = header_of(first, "previous_hash")
        follows = first.position == common + 1 and before is not None and before.hex() == named
        if not common or not follows:
            raise CannotRun(
                "Kafka's events do not continue this log: are they another shop's? Start a relay,"
                " which compares them"
            )
    return common, lost


def _as_written(record: Record, prefix: str) -> LostEvent:
    """Return the event of a record. Raises CannotRun if it cannot be read."""
    event_type = record.topic.removeprefix(prefix)
    try:
        event = change_of(record, event_type).event
    except PoisonRecord as error:
        raise CannotRun(f"Kafka's event {record.position} cannot be read: {error}") from error
    value = record.value or b""
    # The inverse of `kafka_value`, which puts this around the stored payload.
    payload = value[value.index(b',"payload":') + len(b',"payload":') : -1]
    kind, _, number = record.aggregate.rpartition("-")
    trace = header_of(record, "log_traceparent")
    envelope = Envelope(
        record.position,
        bytes.fromhex(record.hash),
        UUID(header_of(record, "ce_id") or ""),
        kind,
        int(number),
        record.version,
        event_type,
        record.schema_version,
        payload,
        parse_time(header_of(record, "ce_time") or ""),
        record.recorded_at,
        record.correlation_id,
        header_of(record, "causation_id"),
        record.caller,
        (header_of(record, "traceparent") if trace is None else trace) or None,
    )
    return LostEvent(envelope, event)
