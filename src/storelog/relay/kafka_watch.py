"""Notices that Kafka lost what was sent: a topic deleted, made again, shortened, expired too soon.

The relay's row keeps each topic's id and offsets of the last check; offsets that are lower now mean
that records are gone. The relay then stops: sending more would leave a gap for new readers.
Next: relay/relay.py
"""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from storelog.config import Settings
from storelog.errors import HistoryMismatch
from storelog.kafka import client_settings, event_topics, metadata, watermark_topic

TIMEOUT_SECONDS = 10.0
NEW_PARTITION_SECONDS = 15.0
_NOT_YET = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
KafkaPlaces = dict[str, Any]
# The offset up to which each partition is applied.
Applied = Mapping[tuple[str, int], int]


def look(settings: Settings) -> KafkaPlaces:
    """Return {topic: {id, first, last}} of the nine topics, offsets by partition.

    A topic that is missing is left out. Raises KafkaException while Kafka is away.
    """
    admin = AdminClient({**client_settings(settings), "log_level": 0})
    known = metadata(admin, TIMEOUT_SECONDS).topics
    topics = [topic for topic in event_topics(settings) if topic in known]
    if not topics:
        return {}
    described = admin.describe_topics(TopicCollection(topics), request_timeout=TIMEOUT_SECONDS)
    places = [TopicPartition(topic, n) for topic in topics for n in known[topic].partitions]
    first = _offsets(admin, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    last = _offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    return {
        topic: {
            # The id reveals a topic that was deleted and made again, even if its offsets look
            # right.
            "id": str(described[topic].result(TIMEOUT_SECONDS).topic_id),
            "first": [first[topic, n] for n in sorted(known[topic].partitions)],
            "last": [last[topic, n] for n in sorted(known[topic].partitions)],
        }
        for topic in topics
    }


def ends(settings: Settings) -> dict[tuple[str, int], int]:
    """Return the offset that the next record of each partition of all ten topics will have.

    Waits for partitions that were only just made. Raises KafkaException.
    """
    give_up_at = time.monotonic() + NEW_PARTITION_SECONDS
    while True:
        try:
            return _ends(settings)
        except KafkaException as error:
            if error.args[0].code() not in _NOT_YET or time.monotonic() > give_up_at:
                raise
            # Kafka does not notify anyone when a new partition has its leader, so ask again.
            threading.Event().wait(0.2)


def _ends(settings: Settings) -> dict[tuple[str, int], int]:
    admin = AdminClient({**client_settings(settings), "log_level": 0})
    known = metadata(admin, TIMEOUT_SECONDS).topics
    topics = [*event_topics(settings), watermark_topic(settings)]
    places = [TopicPartition(topic, n) for topic in topics for n in known[topic].partitions]
    return _offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def _offsets(
    admin: AdminClient, places: list[TopicPartition], spec: OffsetSpec
) -> dict[tuple[str, int], int]:
    found = admin.list_offsets(
        dict.fromkeys(places, spec),
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=TIMEOUT_SECONDS,
    )
    return {
        (place.topic, place.partition): done.result(TIMEOUT_SECONDS).offset
        for place, done in found.items()
    }


def applied(settings: Settings) -> Applied:
    """Return what the projectors' group has committed: everything before is in MongoDB.

    Raises KafkaException, also where the account lacks the right to read it.
    """
    admin = AdminClient({**client_settings(settings), "log_level": 0})
    groups = [ConsumerGroupTopicPartitions(settings.kafka_group_id)]
    (result,) = admin.list_consumer_group_offsets(groups, request_timeout=TIMEOUT_SECONDS).values()
    places = result.result(TIMEOUT_SECONDS).topic_partitions or []
    return {(place.topic, place.partition): place.offset for place in places}


def has_begun_later(known: KafkaPlaces, now: KafkaPlaces) -> bool:
    """Tell whether a partition begins later than at the last check, so that `applied` matters."""
    return any(
        present > before
        for topic in known.keys() & now.keys()
        for before, present in zip(known[topic]["first"], now[topic]["first"], strict=False)
    )


def missing(
    settings: Settings, known: KafkaPlaces, now: KafkaPlaces, sent: int, done: Applied
) -> str | None:
    """Return what Kafka has lost since `known`, in words, or None; `sent`: events in all.

    Records that retention has removed are not lost if they are `done`: applied by the projectors.
    """
    if sent and not any(offset for present in now.values() for offset in present["last"]):
        return f"its topics are empty, {sent} events were sent"
    for topic in event_topics(settings):
        if topic not in now:
            return f"topic {topic} is gone"
        before, present = known.get(topic), now[topic]
        if before is None:
            continue
        if before["id"] != present["id"]:
            return f"topic {topic} was made again"
        for n, (first, last) in enumerate(zip(before["first"], before["last"], strict=True)):
            if present["last"][n] < last:
                return f"topic {topic} was emptied or shortened"
            if present["first"][n] > max(first, done.get((topic, n), 0)):
                return f"records of topic {topic} were removed before a projector had applied them"
    return None


async def read_known(connection: asyncpg.Connection) -> tuple[KafkaPlaces, int]:
    """Return what the relay's row knows of Kafka's topics, and how many events were sent."""
    row = await connection.fetchrow("SELECT topics, position FROM relay_cursor")
    return json.loads(row["topics"]), row["position"]


async def keep(connection: asyncpg.Connection, now: KafkaPlaces) -> None:
    """Store the present ids and offsets of Kafka's topics."""
    await connection.execute("UPDATE relay_cursor SET topics = $1", json.dumps(now))


def mismatch(what: str) -> HistoryMismatch:
    """Return the error that says what to do."""
    return HistoryMismatch(
        f"Kafka has lost events that were sent: {what}. `storelog resend --from 1` sends them again"
        " from the log (readers drop what they have), after which the relay goes on"
    )
