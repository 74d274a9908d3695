"""Tells whether the log is the one that Kafka has seen, before anything is sent.

After PostgreSQL was restored to an earlier time the log can be behind Kafka, or go on in another
way from there: mixing two histories would be worse than stopping.
Next: relay/relay.py
"""

import asyncio
import time
from typing import Any

import asyncpg
import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from storelog.config import Settings
from storelog.errors import HistoryMismatch, Unavailable
from storelog.kafka import client_settings, event_topics, watermark_topic
from storelog.relay.cursor import hash_at

READ_SECONDS = 10.0


class Mark(msgspec.Struct):
    """A position that Kafka has seen, and the hash of its event."""

    position: int
    hash: str


async def check_history(connection: asyncpg.Connection, settings: Settings) -> None:
    """Compare Kafka's newest records with the log. Raises HistoryMismatch, and says what to do."""
    for mark in await asyncio.to_thread(newest_marks, settings):
        found = await hash_at(connection, mark.position)
        if found is None or found.hex() != mark.hash:
            what = "does not reach" if found is None else "has another event at"
            raise HistoryMismatch(
                f"Kafka has seen position {mark.position} of a log that this one {what}: PostgreSQL"
                " was restored to an earlier time, or it is another shop's. Use another"
                " STORELOG_KAFKA_TOPIC_PREFIX and MongoDB database for this log, or restore the log"
            )


def newest_marks(settings: Settings) -> list[Mark]:
    """Return what the newest watermark and the last record of each partition say, newest first.

    Raises KafkaException and Unavailable.
    """
    consumer = Consumer(
        {
            **client_settings(settings),
            "group.id": f"{settings.kafka_group_id}-history",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        topics = [watermark_topic(settings), *event_topics(settings)]
        known = consumer.list_topics(timeout=READ_SECONDS).topics
        ends = []
        for topic in topics:
            for lane in known[topic].partitions if topic in known else ():
                place = TopicPartition(topic, lane)
                low, high = consumer.get_watermark_offsets(place, READ_SECONDS)
                if high > low:
                    ends.append(TopicPartition(topic, lane, high - 1))
        consumer.assign(ends)
        marks = [_mark_of(message) for message in _read_one_each(consumer, len(ends))]
    finally:
        consumer.close()
    return sorted((m for m in marks if m and m.position), key=lambda m: -m.position)


def _read_one_each(consumer: Consumer, count: int) -> list[Message]:
    """Return the first message of each of `count` assigned partitions."""
    found: dict[tuple[str | None, int | None], Message] = {}
    give_up_at = time.monotonic() + READ_SECONDS
    while len(found) < count:
        message = consumer.poll(READ_SECONDS)
        if message is None or time.monotonic() > give_up_at:
            raise Unavailable("Kafka does not give its newest records")
        if message.error() is None:
            found.setdefault((message.topic(), message.partition()), message)
    return list(found.values())


def _mark_of(message: Message) -> Mark | None:
    """Return the message's place in the log, None for one that is not the relay's."""
    pairs: Any = message.headers() or []
    headers = dict(pairs)
    try:
        if "position" in headers:
            return Mark(int(headers["position"]), headers["hash"].decode("ascii"))
        return msgspec.json.decode(message.value() or b"", type=Mark)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError, AttributeError):
        return None
