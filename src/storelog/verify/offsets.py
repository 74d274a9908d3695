"""Compares the offsets in checkpoints, from which projectors continue in Kafka, with the topics.

An offset must lie between the beginning and the end of its partition, and after no event that the
checkpoint lacks, since that event would be skipped. If Kafka is away, the report says so.
Next: verify/repair_places.py
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.event_codec import lane_of_event
from storelog.kafka import FETCHES, client_settings, event_topics, kafka_failure, watermark_topic
from storelog.verify.report import Report

WHERE = "mongodb.checkpoints"
# How many records before each offset are checked.
LOOK_BACK = 8
RESPONSE_SECONDS, READ_SECONDS = 10.0, 20.0
_CONSUMER = {
    # A group of its own, which commits nothing: the offsets of the projectors stay untouched.
    "group.id": "storelog-verify",
    "enable.auto.commit": False,
    "isolation.level": "read_uncommitted",
    "auto.offset.reset": "earliest",
    **FETCHES,
    "enable.partition.eof": True,
}
Document = dict[str, Any]
Partition = tuple[str, int]


def has_offsets(place: Document) -> bool:
    """Tell whether a checkpoint's offsets can be read."""
    entries = place.get("offsets")
    return isinstance(entries, list) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("topic"), str)
        and isinstance(entry.get("offset"), int)
        for entry in entries
    )


class Offsets:
    """`bad`: for each lane and topic the wrong offset, and the offset to begin at instead."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self.bad: dict[int, dict[str, tuple[int, int]]] = {}

    async def compare(self, places: list[Document], connection: asyncpg.Connection) -> None:
        """Compare the offsets of checkpoints with Kafka, and with what the log has."""
        try:
            bounds, before = await asyncio.to_thread(self._look, places)
        except (KafkaException, CannotRun) as error:
            self._report.not_checked.append(f"the offsets in checkpoints: {kafka_failure(error)}")
            return
        at = {place["_id"]: int(place["position"]) for place in places}
        for lane, topic, offset in _offsets(places):
            self._report.count("kafka.offsets")
            if (topic, lane) not in bounds:
                self._differ(lane, topic, "no such topic", offset, 0)
                continue
            first, end = bounds[topic, lane]
            if not first <= offset <= end:
                self._differ(lane, topic, f"{first} to {end}", offset, first)
                continue
            for message in before.get((topic, lane), ()):
                missed = await _event_of(connection, message, at[lane], len(places))
                if missed is not None:
                    expected = f"at most {message.offset()}, where position {missed} is"
                    self._differ(lane, topic, expected, offset, first)
                    break

    def _differ(self, lane: int, topic: str, expected: str, offset: int, first: int) -> None:
        self.bad.setdefault(lane, {})[topic] = (offset, first)
        self._report.differ(WHERE, lane, f"offsets.{topic}", expected, offset)

    def _look(
        self, places: list[Document]
    ) -> tuple[dict[Partition, tuple[int, int]], dict[Partition, list[Message]]]:
        """Return each partition's bounds, and the last records before the offsets."""
        consumer = Consumer({**client_settings(self._settings), **_CONSUMER})
        try:
            known = consumer.list_topics(timeout=RESPONSE_SECONDS).topics
            ours = {*event_topics(self._settings), watermark_topic(self._settings)} & known.keys()
            bounds, wanted = {}, {}
            for lane, topic, offset in _offsets(places):
                if topic not in ours or lane not in known[topic].partitions:
                    continue
                first, end = bounds[topic, lane] = consumer.get_watermark_offsets(
                    TopicPartition(topic, lane), timeout=RESPONSE_SECONDS
                )
                # Watermarks carry no events, so only the topics of events need this check.
                if first < offset <= end and topic != watermark_topic(self._settings):
                    wanted[topic, lane] = (max(first, offset - LOOK_BACK), offset)
            return bounds, _read(consumer, wanted)
        finally:
            consumer.close()


def _offsets(places: list[Document]) -> Iterator[tuple[int, str, int]]:
    for place in places:
        for entry in place["offsets"]:
            yield place["_id"], entry["topic"], int(entry["offset"])


def _read(
    consumer: Consumer, wanted: dict[Partition, tuple[int, int]]
) -> dict[Partition, list[Message]]:
    """Return the records of stretches of partitions. Raises KafkaException."""
    found: dict[Partition, list[Message]] = {place: [] for place in wanted}
    left = set(wanted)
    consumer.assign([TopicPartition(*place, start) for place, (start, _) in wanted.items()])
    give_up_at = time.monotonic() + READ_SECONDS
    while left:
        message = consumer.poll(1.0)
        if message is None:
            if time.monotonic() > give_up_at:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            continue
        place = (message.topic() or "", message.partition() or 0)
        error, offset = message.error(), message.offset() or 0
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        end = wanted[place][1]
        if error is None and offset < end:
            found[place].append(message)
        if error is not None or offset >= end - 1:
            left.discard(place)
    return found


async def _event_of(
    connection: asyncpg.Connection, message: Message, after: int, lanes: int
) -> int | None:
    """Return the position of a record's event, if it is after another position; else None.

    None also for a record that is no event of the log, and for one that was sent with fewer lanes
    and belongs to another lane now.
    """
    headers: dict[str, Any] = dict(message.headers() or ())
    try:
        position = int(headers["position"])
        event_hash = bytes.fromhex(str(headers["hash"], "ascii"))
    except (KeyError, ValueError, TypeError):
        return None
    if not after < position < 2**63:
        return None
    row = await connection.fetchrow(
        "SELECT aggregate_type, aggregate_id, payload FROM events"
        " WHERE position = $1 AND hash = $2",
        position,
        event_hash,
    )
    if row is None:
        return None
    kind, number, payload = row
    lane = lane_of_event(kind, f"{kind}-{number}", payload, lanes)
    return position if lane == message.partition() else None
