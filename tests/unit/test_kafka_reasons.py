"""What Kafka's library says becomes one line in words of our own."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from storelog import kafka
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


@pytest.fixture(autouse=True)
def nothing_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_heard", {})


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (KafkaError._TRANSPORT, REFUSED, "127.0.0.1:9: Connection refused: look at kafka_"),
        (KafkaError._TRANSPORT, CLOSED, "127.0.0.1:9: it hangs up: look at kafka_security_p"),
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", "no broker can be reached"),
        (KafkaError._TIMED_OUT, "Failed while waiting: Local: Timed out", "it did not respond in"),
        (KafkaError._AUTHENTICATION, "x:9/1: SASL failed (after 3ms in X)", "x:9: it does not"),
        (KafkaError._SSL, "ssl://x:9/1: SSL handshake failed", "x:9: no TLS connection: look at"),
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
    for detail in ("KafkaError", "://", "/bootstrap", "(after", "Local:", "Broker:", "\n"):
        assert detail not in line


def test_an_error_of_our_own_says_what_it_said() -> None:
    assert kafka_failure(Unavailable("Kafka is full")) == "Kafka is full"


UNTRUSTED = (
    "ssl://kafka-2.example:9093/2: SSL handshake failed: error:0A000086:SSL routines::certificate"
    " verify failed: broker certificate could not be verified (after 5ms in state SSL_HANDSHAKE)"
)
UNSHOWN = (
    "ssl://kafka-2.example:9093/2: SSL handshake failed: error:0A00045C:SSL routines::tlsv13 alert"
    " certificate required: SSL alert number 116 (after 8ms in state APIVERSION_QUERY)"
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [(UNTRUSTED, "look at kafka_ssl_ca"), (UNSHOWN, "look at kafka_ssl_certificate")],
)
def test_a_failure_without_a_brokers_name_says_which_broker_was_tried_and_why_not(
    said: str, expected: str
) -> None:
    kafka.hear(KafkaError(KafkaError._SSL, said))
    line = kafka_reason(KafkaError(KafkaError._TRANSPORT, "Local: Broker transport failure"))
    assert line.startswith("kafka-2.example:9093: ")
    assert expected in line
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Broker: Topic authorization failed")
    assert "kafka-2" not in kafka_reason(denied)
