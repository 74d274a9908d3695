"""Finds the events that Kafka has and the log lacks, by reading the nine topics.

PostgreSQL lacks them after a failover to a server without the last commits, or a restore to an
earlier time. Only records with a valid proof count, of no history that was left, that follow the
log by their hashes: what another shop has sent to the same topics does not.
Next: upkeep/recover.py
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from storelog.config import Settings
from storelog.envelope import Envelope, parse_time
from storelog.errors import CannotRun, PoisonRecord
from storelog.kafka import FETCHES, client_settings, event_topics, kafka_reason
from storelog.log_history import Histories, is_lost, number_of
from storelog.origin import Origin
from storelog.projector.receive.proof import check_record
from storelog.projector.receive.record import Record, change_of, header_of, read_record
from storelog.relay.cursor import hash_at
from storelog.relay.sending import BATCH_EVENTS
from storelog.shop.events import Event

READ_SECONDS = 30.0
READ_EVENTS = 5_000
# All of them are held in memory.
MAX_LOST = 1_000_000
# Kafka's records by position and hash.
Records = dict[int, dict[str, Record]]
_CONSUMER = {
    "enable.auto.commit": False,
    "isolation.level": "read_uncommitted",
    **FETCHES,
    "enable.partition.eof": True,
}


@dataclass(frozen=True, slots=True)
class LostEvent:
    """An event in Kafka that the log lacks, as the log once had it; `history`: what it names."""

    envelope: Envelope
    event: Event
    history: str | None


def read_wanted(settings: Settings, origin: Origin, is_wanted: Callable[[int], bool]) -> Records:
    """Return Kafka's records of the log at wanted positions. Raises CannotRun, KafkaException."""
    group = f"{settings.kafka_group_id}-recover"
    consumer = Consumer({**client_settings(settings), **_CONSUMER, "group.id": group})
    found: Records = {}
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
                    _note(found, origin, is_wanted, message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard((message.topic() or "", message.partition() or 0))
                else:
                    raise CannotRun(f"Kafka: {kafka_reason(error)}")
    finally:
        consumer.close()
    return found


def _note(
    found: Records, origin: Origin, is_wanted: Callable[[int], bool], message: Message
) -> None:
    try:
        record = read_record(message)
        check_record(record, origin)
        number = number_of(origin.histories, header_of(record, "history"))
        is_left = number is not None and is_lost(origin.histories, number, record.position)
        if is_left or not is_wanted(record.position):
            return
    except PoisonRecord:
        return  # the relay did not send it
    if len(found) == MAX_LOST:
        raise CannotRun(f"Kafka has more than {MAX_LOST:,} events that were not sent from this log")
    found.setdefault(record.position, {})[record.hash] = record


async def find_lost(
    connection: asyncpg.Connection, settings: Settings, origin: Origin
) -> tuple[int, list[LostEvent]]:
    """Return the last position that log and Kafka share, and the later events that the log lacks.

    Raises CannotRun if an event in Kafka cannot be read, or the two have nothing in common.
    """
    sent = await connection.fetchval("SELECT position FROM relay_cursor")
    records = await asyncio.to_thread(read_wanted, settings, origin, lambda at: at > sent)
    common, known = sent, await hash_at(connection, sent)
    for position in sorted(records):
        kept = await hash_at(connection, position)
        if kept is not None and kept.hex() in records[position]:
            common, known = position, kept
    found = following(records, origin.histories, common, "" if known is None else known.hex())
    if found and not common:
        # The first event of any shop follows a log that is empty.
        raise CannotRun("the log and Kafka share no event: restore the log, or use other topics")
    return common, [_as_written(each, settings.kafka_topic_prefix) for each in found]


def following(records: Records, histories: Histories, common: int, known: str) -> list[Record]:
    """Return the records that follow the log's event at `common`, whose hash is `known`, in order.

    A relay that dies may leave out some of the batch that it was sending: what comes behind these
    counts, unless it follows an event that is not the log's. Where two histories go on from one
    event, the one that the log does not know is the later.
    """

    def is_unknown(record: Record) -> bool:
        return number_of(histories, header_of(record, "history")) is None

    found: list[Record] = []
    at, before = common, known
    for position in sorted(each for each in records if each > common):
        if position > at + BATCH_EVENTS:
            break
        is_next, others = position == at + 1, records.get(position - 1, {})
        fitting = [
            each
            for each in records[position].values()
            if (_previous(each) in (None, before) if is_next else _previous(each) not in others)
        ]
        if fitting:
            found.append(max(fitting, key=is_unknown))
            at, before = position, found[-1].hash
    return found


def _previous(record: Record) -> str | None:
    return header_of(record, "previous_hash")


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
    return LostEvent(envelope, event, header_of(record, "history"))
