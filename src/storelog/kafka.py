"""How every process connects to Kafka: addresses, security, names of topics, reasons of failures.

Next: relay/relay.py
"""

import logging
import re
import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from storelog.config import Settings
from storelog.envelope import KEYS_TOPIC, WATERMARK_TOPIC
from storelog.errors import CannotRun
from storelog.kafka_login import login
from storelog.shop.events import EVENT_TYPES

MAX_RECORD_BYTES = 8 * 1024 * 1024
# Fetching for consumers that pause and resume partitions to keep them at the same position.
FETCHES = {
    # Some 200 small records of each partition, about as many as may wait; a larger record is
    # fetched all the same.
    "fetch.message.max.bytes": 65_536,
    "fetch.max.bytes": 4 * MAX_RECORD_BYTES,
    "queued.max.messages.kbytes": 4_096,
    # How soon a queue that was full is refilled; librdkafka's default is a second.
    "fetch.queue.backoff.ms": 20,
    # How long a broker holds a fetch that finds nothing; it ignores partitions resumed meanwhile.
    "fetch.wait.max.ms": 200,
    "enable.partition.eof": False,
}

_ADVICE = "look at kafka_bootstrap_servers and kafka_security_protocol"
_AWAY = f"no broker can be reached: {_ADVICE}"
_LATE = "it did not respond in time"
_NOT_LET_IN = (
    "it does not accept the login: look at kafka_sasl_username and kafka_sasl_password, or the"
    " kafka_oauth settings"
)
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
# Errors of the connection to one broker, for which the broker's own message says more.
_OF_A_BROKER = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
)
_BROKER = re.compile(r"(?:\w+://)?(?P<broker>\S+:\d+)/\S+: (?P<why>.+)")
_WHY = (
    (
        re.compile(r"certificate verify failed|unable to get local issuer"),
        "its certificate is not that of an authority that is trusted: look at kafka_ssl_ca",
    ),
    (
        re.compile(r"certificate required|bad certificate|unknown ca|certificate unknown"),
        "it does not accept the certificate: look at kafka_ssl_certificate and kafka_ssl_key",
    ),
    (
        re.compile(
            r"[Dd]isconnected|unexpected message|wrong version number|packet length|"
            r"Receive failed"
        ),
        "it hangs up: look at kafka_security_protocol",
    ),
    (re.compile(r"(?:Connect to \S+ failed: )(?P<text>.+)"), None),
    (re.compile(r"Failed to resolve"), "its name is not known"),
    (
        re.compile(r"[Uu]nsupported.*mechanism|mechanism.*not (?:supported|enabled)"),
        "it does not take kafka_sasl_mechanism",
    ),
    (re.compile(r"timed? ?out", re.I), "it did not respond in time"),
)
_HEARD_SECONDS = 60.0
# librdkafka's last message about each broker that could not be reached, and its time.
_heard: dict[str, tuple[float, str]] = {}
# The parts of librdkafka's messages that only its own developers understand.
_LIBRARY_WORDS = re.compile(r"^\S+:\d+/\S+: | \(after [^)]*\)$|\b(?:Local|Broker): ")

# The command line sets up no logs: without a handler, the library's lines would go to stderr.
_LIBRARY_LOG = logging.getLogger("kafka")
_LIBRARY_LOG.addHandler(logging.NullHandler())


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's settings for reaching the brokers. Raises CannotRun without any."""
    if settings.kafka_bootstrap_servers is None:
        raise CannotRun("STORELOG_KAFKA_BOOTSTRAP_SERVERS names no broker, and no `up` runs here")
    wanted = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        **login(settings),
        "client.id": "storelog",
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 1_000,
        # A dead connection is given up after 10 s, and a topic that was made again is seen as soon.
        "socket.timeout.ms": 10_000,
        "topic.metadata.refresh.interval.ms": 10_000,
        "log_level": 3,
        "error_cb": hear,
        # Its lines go through our logging: one format, and no flood while a broker is away.
        "logger": _LIBRARY_LOG,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def hear(error: KafkaError) -> None:
    """Keep the library's message about one broker, which `kafka_reason` then uses."""
    found = _BROKER.match(" ".join(error.str().split()))
    if found is not None and error.code() in _OF_A_BROKER:
        _heard.pop(found["broker"], None)
        _heard[found["broker"]] = (time.monotonic(), _why(found["why"], error.code()))


def _why(text: str, code: int) -> str:
    for pattern, told in _WHY:
        if (match := pattern.search(text)) is not None:
            return told or _LIBRARY_WORDS.sub("", match["text"])
    if code in (KafkaError._AUTHENTICATION, KafkaError._SSL):
        return _REASONS[code]
    return _LIBRARY_WORDS.sub("", text)


def kafka_reason(error: KafkaException | KafkaError) -> str:
    """Return one line on what Kafka or its library raised, without the library's own details.

    If no broker can be reached, it names the one that was tried last, and the reason.
    """
    cause: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    text = " ".join(cause.str().split())
    hear(cause)
    since = time.monotonic() - _HEARD_SECONDS
    # A copy, since clients in other threads call `hear` meanwhile.
    recent = [(broker, why) for broker, (at, why) in list(_heard.items()) if at > since]
    if cause.code() in _OF_A_BROKER and recent:
        broker, why = recent[-1]
        advice = "" if "look at" in why or "kafka_" in why else f": {_ADVICE}"
        return f"{broker}: {why}{advice}"
    return _REASONS.get(cause.code()) or _LIBRARY_WORDS.sub("", text)


def metadata(client: Any, seconds: float) -> Any:
    """Return the metadata of brokers and topics. Raises KafkaException."""
    try:
        return client.list_topics(timeout=seconds)
    except KafkaException:
        # The reason comes by the error callback, which only polling calls.
        client.poll(0)
        raise


def kafka_failure(error: Exception) -> str:
    """Return the line, with Kafka's name, on any error; one of our own has its line already."""
    return f"Kafka: {kafka_reason(error)}" if isinstance(error, KafkaException) else str(error)


def event_topics(settings: Settings) -> list[str]:
    """Return the names of the nine topics."""
    return [settings.kafka_topic_prefix + event_type for event_type in EVENT_TYPES]


def watermark_topic(settings: Settings) -> str:
    """Return the name of the topic of watermarks."""
    return settings.kafka_topic_prefix + WATERMARK_TOPIC


def keys_topic(settings: Settings) -> str:
    """Return the name of the topic that carries the newest set of API keys (hashes)."""
    return settings.kafka_topic_prefix + KEYS_TOPIC
