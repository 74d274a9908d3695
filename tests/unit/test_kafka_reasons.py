"""What Kafka's library says becomes one line in words of our own."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from storelog.errors import Unavailable
from storelog.kafka import kafka_failure, kafka_reason

REFUSED = (
    "sasl_ssl://127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused"
    " (after 0ms in state CONNECT)"
)
CLOSED = (
    "127.0.0.1:9/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect"
    " security.protocol configuration (connecting to a SSL listener?) or broker version is < 0.10"
)


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (KafkaError._TRANSPORT, REFUSED, "no broker can be reached"),
        (KafkaError._TRANSPORT, CLOSED, "no broker can be reached: look at kafka_boot"),
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", "no broker can be reached"),
        (KafkaError._TIMED_OUT, "Failed while waiting: Local: Timed out", "it did not answer in"),
        (KafkaError._AUTHENTICATION, "x:9/1: SASL failed (after 3ms in state X)", "it does not"),
        (KafkaError._SSL, "ssl://x:9/1: SSL handshake failed", "no TLS connection: look at kafka_"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "Broker: Topic authorization failed", "it "),
        (KafkaError.NOT_ENOUGH_REPLICAS, "x-1.y:9/1: Broker: Not\nenough", "Not enough"),
        (KafkaError.POLICY_VIOLATION, "Broker: Policy violation", "Policy violation"),
    ],
)  # fmt: skip
def test_a_failure_of_kafka_is_one_line_without_the_librarys_details(
    code: int, said: str, expected: str
) -> None:
    error = KafkaError(code, said)
    line = kafka_failure(KafkaException(error))
    assert line == f"Kafka: {kafka_reason(error)}"
    assert kafka_reason(error).startswith(expected)
    for detail in ("KafkaError", "://", "/bootstrap", ":9", "(after", "Local:", "Broker:", "\n"):
        assert detail not in line


def test_an_error_of_our_own_says_what_it_said() -> None:
    assert kafka_failure(Unavailable("Kafka is full")) == "Kafka is full"
