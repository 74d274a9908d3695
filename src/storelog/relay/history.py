"""Tells whether the log is the one that Kafka has seen, before anything is sent.

After PostgreSQL was restored to an earlier time the log can be behind Kafka, or go on in another
way from there: mixing two histories would be worse than stopping.
Next: relay/relay.py
"""

import asyncio

import asyncpg
import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from storelog.config import Settings
from storelog.errors import HistoryMismatch, Unavailable
from storelog.kafka import client_settings, watermark_topic
from storelog.relay.cursor import hash_at

READ_SECONDS = 10.0


class _Mark(msgspec.Struct):
    position: int
    hash: str


async def check_history(connection: asyncpg.Connection, settings: Settings) -> None:
    """Compare the newest watermark with the log. Raises HistoryMismatch, and says what to do."""
    mark = await asyncio.to_thread(_newest_watermark, settings)
    if mark is None or mark.position == 0:
        return
    found = await hash_at(connection, mark.position)
    if found is None or found.hex() != mark.hash:
        what = "does not reach" if found is None else "has another event at"
        raise HistoryMismatch(
            f"Kafka has seen position {mark.position} of a log that this one {what}: PostgreSQL was"
            " restored to an earlier time, or it is another shop's. Use another"
            " STORELOG_KAFKA_TOPIC_PREFIX and MongoDB database for this log, or restore the log."
        )


def _newest_watermark(settings: Settings) -> _Mark | None:
    consumer = Consumer(
        {
            **client_settings(settings),
            "group.id": f"{settings.kafka_group_id}-history",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        topic = watermark_topic(settings)
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), READ_SECONDS)
        if high <= low:
            return None
        consumer.assign([TopicPartition(topic, 0, high - 1)])
        message: Message | None = consumer.poll(READ_SECONDS)
    finally:
        consumer.close()
    if message is None or message.error() is not None:
        raise Unavailable("Kafka does not give the newest watermark")
    return msgspec.json.decode(message.value() or b"", type=_Mark)
