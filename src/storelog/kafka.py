"""How every process speaks to Kafka: addresses, security, names of topics.

Next: relay/relay.py
"""

import logging
import re
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from storelog.config import Settings
from storelog.envelope import KEYS_TOPIC, WATERMARK_TOPIC
from storelog.errors import CannotRun
from storelog.shop.events import EVENT_TYPES

MAX_RECORD_BYTES = 8 * 1024 * 1024
# How the topics are fetched where partitions are paused and resumed to keep them abreast.
FETCHES = {
    # Some 200 small records of each partition, about as many as may wait; a larger one comes whole.
    "fetch.message.max.bytes": 65_536,
    "fetch.max.bytes": 4 * MAX_RECORD_BYTES,
    "queued.max.messages.kbytes": 4_096,
    # How soon a queue that was full is filled again: librdkafka would sleep a second.
    "fetch.queue.backoff.ms": 20,
    # How long a broker holds a fetch that finds nothing; one resumed meanwhile is not in it.
    "fetch.wait.max.ms": 200,
    "enable.partition.eof": False,
}

_AWAY = "no broker can be reached: look at kafka_bootstrap_servers and kafka_security_protocol"
_LATE = "it did not answer in time"
_NOT_LET_IN = "it does not accept kafka_sasl_username and kafka_sasl_password"
_NOT_ALLOWED = "it does not allow this account to do that"
_REASONS = {
    KafkaError._TRANSPORT: _AWAY,
    KafkaError._ALL_BROKERS_DOWN: _AWAY,
    KafkaError._RESOLVE: "no broker's name is known",
    KafkaError._TIMED_OUT: _LATE,
    KafkaError._TIMED_OUT_QUEUE: _LATE,
    KafkaError._MSG_TIMED_OUT: _LATE,
    KafkaError.REQUEST_TIMED_OUT: _LATE,
    KafkaError._AUTHENTICATION: _NOT_LET_IN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _NOT_LET_IN,
    KafkaError._SSL: "no TLS connection: look at kafka_security_protocol and kafka_ssl_ca",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _NOT_ALLOWED,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _NOT_ALLOWED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _NOT_ALLOWED,
}
# The connection, the state of the library, and who says it, around what is said.
_LIBRARY_WORDS = re.compile(r"^\S+:\d+/\S+: | \(after [^)]*\)$|\b(?:Local|Broker): ")

# Without logs of its own, a command of the command line shows nothing of what the library says.
_LIBRARY_LOG = logging.getLogger("kafka")
_LIBRARY_LOG.addHandler(logging.NullHandler())


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's settings for reaching the brokers. Raises CannotRun without any."""
    if settings.kafka_bootstrap_servers is None:
        raise CannotRun("STORELOG_KAFKA_BOOTSTRAP_SERVERS names no broker, and no `up` runs here")
    wanted = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": settings.kafka_sasl_password,
        "ssl.ca.location": settings.kafka_ssl_ca,
        "client.id": "storelog",
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 1_000,
        # A wire that went deaf is given up after 10 s, a topic made again is seen as soon.
        "socket.timeout.ms": 10_000,
        "topic.metadata.refresh.interval.ms": 10_000,
        "log_level": 3,
        # Its lines go the way of all others: one format, no flood while a broker is away.
        "logger": _LIBRARY_LOG,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def kafka_reason(error: KafkaException | KafkaError) -> str:
    """Return one line on what Kafka or its library raised, without the library's own details."""
    cause: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    said = " ".join(cause.str().split())
    return _REASONS.get(cause.code()) or _LIBRARY_WORDS.sub("", said)


def kafka_failure(error: Exception) -> str:
    """Return the line with Kafka's name in it; an error of our own has a line already."""
    return f"Kafka: {kafka_reason(error)}" if isinstance(error, KafkaException) else str(error)


def event_topics(settings: Settings) -> list[str]:
    """Return the names of the nine topics."""
    return [settings.kafka_topic_prefix + event_type for event_type in EVENT_TYPES]


def watermark_topic(settings: Settings) -> str:
    """Return the name of the topic that says how far the relay has come."""
    return settings.kafka_topic_prefix + WATERMARK_TOPIC


def keys_topic(settings: Settings) -> str:
    """Return the name of the topic that carries the newest set of API keys (hashes)."""
    return settings.kafka_topic_prefix + KEYS_TOPIC
