"""Makes the topics: the nine of the contract and the watermarks, all with one partition a lane.

Safe to repeat and to run twice at once. Never changes a topic that is there.
Next: relay/relay.py
"""

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.kafka import (
    MAX_RECORD_BYTES,
    client_settings,
    event_topics,
    keys_topic,
    watermark_topic,
)

_FOR_EVER = {
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "max.message.bytes": str(MAX_RECORD_BYTES),
}
_NEWEST = {"cleanup.policy": "compact", "segment.ms": "3600000"}
TIMEOUT_SECONDS = 30.0
REACH_SECONDS = 10.0
_HOPELESS = (KafkaError._AUTHENTICATION, KafkaError._SSL)


def ensure_topics(settings: Settings, lanes: int, wanted_lanes: int | None = None) -> None:
    """Create what is missing, with `lanes` partitions (the keys: one). Raises CannotRun.

    `wanted_lanes`: the number that a change of lanes, which was interrupted, is about to bring.
    """
    admin = _reach(settings)
    wanted = dict.fromkeys(event_topics(settings), _FOR_EVER)
    wanted[watermark_topic(settings)] = _NEWEST
    partitions = {**dict.fromkeys(wanted, lanes), keys_topic(settings): 1}
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
        for result in results.values():
            _finish(result)
        known = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise CannotRun(f"Kafka: {error.args[0].str()}") from error
    for name, count in partitions.items():
        found = len(known[name].partitions) if name in known else count
        if found not in (count, wanted_lanes):
            raise CannotRun(f"topic {name} has {found} partitions, the log has {lanes} lanes")


def _reach(settings: Settings) -> AdminClient:
    """Return a client that a broker has answered; what cannot mend itself is said at once."""
    said: list[KafkaError] = []
    # What goes wrong is raised; librdkafka need not say it too.
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": said.append}
    admin = AdminClient({**client_settings(settings), **quiet})
    give_up_at = time.monotonic() + REACH_SECONDS
    while True:
        try:
            admin.list_topics(timeout=1)
            return admin
        except KafkaException as error:
            admin.poll(0)
            hopeless = [
                e for e in said if e.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL)
            ]
            if hopeless or time.monotonic() > give_up_at:
                told = hopeless or said or [error.args[0]]
                raise CannotRun(f"Kafka: {told[-1].str()}") from error


def add_partitions(settings: Settings, lanes: int) -> None:
    """Give every topic `lanes` partitions; safe to repeat. Raises CannotRun."""
    admin = _reach(settings)
    try:
        known = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
        fewer = [
            NewPartitions(topic, lanes)
            for topic in (*event_topics(settings), watermark_topic(settings))
            if len(known[topic].partitions) < lanes
        ]
        for result in admin.create_partitions(fewer).values() if fewer else ():
            result.result(timeout=TIMEOUT_SECONDS)
    except KafkaException as error:
        raise CannotRun(f"Kafka: {error.args[0].str()}") from error


def _finish(result: object) -> None:
    try:
        result.result(timeout=TIMEOUT_SECONDS)  # type: ignore[attr-defined]
    except TimeoutError as error:
        raise CannotRun("Kafka has not made the topics in time") from error
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
