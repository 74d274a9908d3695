"""Makes the topics: the nine of the contract and the watermarks, all with one partition a lane.

Safe to repeat and to run twice at once. It changes nothing of an existing topic except that all get
as many partitions as the one with most, since a reader owns the same ones of each. An interrupted
change of lanes may have added some to a few topics only.
Next: relay/relay.py
"""

import time
from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewPartitions,
    NewTopic,
)

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.kafka import (
    MAX_RECORD_BYTES,
    client_settings,
    event_topics,
    kafka_failure,
    kafka_reason,
    keys_topic,
    metadata,
    watermark_topic,
)
from storelog.relay.topic_settings import judge, read_configs

# A new projector, or a rebuild from Kafka, reads the topics from their beginning.
_FOR_EVER = {
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "max.message.bytes": str(MAX_RECORD_BYTES),
}
# Only the newest watermark and the newest set of keys count: older ones may be compacted away.
_NEWEST = {"cleanup.policy": "compact", "segment.ms": "3600000"}
TIMEOUT_SECONDS = 30.0
REACH_SECONDS = 10.0
_log = structlog.get_logger()
_HOPELESS = (KafkaError._AUTHENTICATION, KafkaError._SSL)
_UNSAID = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


def ensure_topics(settings: Settings, lanes: int) -> list[str]:
    """Create what is missing, with `lanes` partitions (the keys: one). Raises CannotRun.

    Returns warnings about the settings of topics that Storelog did not make. More partitions are
    accepted: a change of lanes that was taken back leaves some, which Kafka cannot remove.
    """
    admin = _reach(settings)
    wanted = dict.fromkeys(event_topics(settings), _FOR_EVER)
    wanted[watermark_topic(settings)] = _NEWEST
    try:
        # Not fewer than any topic has, since partitions cannot be removed.
        most = max(lanes, *_partitions(admin, settings).values(), 0)
    except KafkaException as error:
        raise CannotRun(kafka_failure(error)) from error
    partitions = {**dict.fromkeys(wanted, most), keys_topic(settings): 1}
    wanted[keys_topic(settings)] = _NEWEST
    copies = settings.kafka_replication_factor
    new = [
        NewTopic(
            name,
            num_partitions=partitions[name],
            replication_factor=copies,
            config=dict(config),
        )
        for name, config in wanted.items()
    ]
    try:
        results = admin.create_topics(new, request_timeout=TIMEOUT_SECONDS)
        there = [name for name, result in results.items() if not _is_made(result)]
        known = metadata(admin, TIMEOUT_SECONDS)
        made = [name for name in event_topics(settings) if name in there]
        judged = judge(made, read_configs(admin, made), known)
    except KafkaException as error:
        raise CannotRun(kafka_failure(error)) from error
    if judged.errors:
        raise CannotRun("; ".join(judged.errors))
    check_partitions(settings, {n: len(t.partitions) for n, t in known.topics.items()}, lanes)
    _grow_all(admin, settings, most)
    return [f"Kafka: {warning}" for warning in judged.warnings]


def check_partitions(settings: Settings, found: Mapping[str, int], lanes: int) -> None:
    """Check how many partitions the topics have that are there. Raises CannotRun."""
    topics = (*event_topics(settings), watermark_topic(settings))
    few = [topic for topic in topics if found.get(topic, lanes) < lanes]
    if few:
        raise CannotRun(
            f"Kafka: topic {few[0]} has {found[few[0]]} of the {lanes} partitions that it needs,"
            f" one for each lane of the log: give {lanes} to {', '.join(few)}"
        )
    keys = keys_topic(settings)
    if found.get(keys, 1) != 1:
        raise CannotRun(
            f"Kafka: topic {keys} has {found[keys]} partitions and needs exactly 1: delete it, and"
            " run `storelog migrate`, which makes it again; the relay fills it"
        )


def _reach(settings: Settings) -> AdminClient:
    """Return a client that has reached a broker. Raises CannotRun, at once for a wrong login."""
    heard: list[KafkaError] = []
    # Failures are raised here; librdkafka need not log them too.
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": heard.append}
    admin = AdminClient({**client_settings(settings), **quiet})
    give_up_at = time.monotonic() + REACH_SECONDS
    while True:
        try:
            admin.list_topics(timeout=1)
            return admin
        except KafkaException as error:
            admin.poll(0)
            hopeless = [e for e in heard if e.code() in _HOPELESS]
            if hopeless or time.monotonic() > give_up_at:
                told = hopeless or heard or [error.args[0]]
                raise CannotRun(f"Kafka: {kafka_reason(told[-1])}") from error


def add_partitions(settings: Settings, lanes: int) -> None:
    """Give every topic `lanes` partitions; safe to repeat. Raises CannotRun."""
    _grow_all(_reach(settings), settings, lanes)


def _grow_all(admin: AdminClient, settings: Settings, wanted: int) -> None:
    try:
        _grow(admin, _partitions(admin, settings), wanted)
    except TimeoutError as error:
        raise CannotRun("Kafka has not made the partitions in time") from error
    except KafkaException as error:
        raise CannotRun(kafka_failure(error)) from error


def even_out(settings: Settings) -> None:
    """Give every topic as many partitions as the one with most. Raises KafkaException."""
    admin = AdminClient({**client_settings(settings), "log_level": 0})
    there = _partitions(admin, settings)
    try:
        _grow(admin, there, max(there.values(), default=0))
    except KafkaException as error:
        if error.args[0].code() not in _UNSAID:
            raise
        _log.warning("run `storelog migrate`: topics lack partitions", error=kafka_failure(error))


def _partitions(admin: AdminClient, settings: Settings) -> dict[str, int]:
    """Return the number of partitions of each topic with lanes. Raises KafkaException."""
    known = metadata(admin, TIMEOUT_SECONDS).topics
    topics = (*event_topics(settings), watermark_topic(settings))
    return {topic: len(known[topic].partitions) for topic in topics if topic in known}


def _grow(admin: AdminClient, there: dict[str, int], wanted: int) -> None:
    """Make the partitions that are missing. Raises KafkaException."""
    fewer = [NewPartitions(topic, wanted) for topic, found in there.items() if found < wanted]
    for result in admin.create_partitions(fewer).values() if fewer else ():
        try:
            result.result(timeout=TIMEOUT_SECONDS)
        except KafkaException as error:
            # Another process has just made them.
            if error.args[0].code() != KafkaError.INVALID_PARTITIONS:
                raise


def _is_made(result: object) -> bool:
    """Wait for a topic to be made; return False if it existed before."""
    try:
        result.result(timeout=TIMEOUT_SECONDS)  # type: ignore[attr-defined]
    except TimeoutError as error:
        raise CannotRun("Kafka has not made the topics in time") from error
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True
