"""A managed Kafka: an order's whole way over SASL and TLS; what is said of wrong settings."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storelog.config import Settings
from support.embedded import EmbeddedServers, new_settings
from support.secure_kafka import PASSWORD, USER, secure_broker
from support.system import System, wait_for


@pytest.fixture(scope="module")
def managed(servers: EmbeddedServers) -> Iterator[Settings]:
    """Settings of the run's PostgreSQL and MongoDB, and of a Kafka that asks for SASL over TLS."""
    home = Path(tempfile.mkdtemp(prefix="storelog-kafka-"))
    broker, address, authority = secure_broker(home)
    broker.start()
    try:

        def ready() -> bool:
            assert not broker.look(), broker.last_words()
            return broker.state == "ready"

        wait_for(ready, f"the broker: {broker.last_words()}", 90)
        yield replace(
            servers.settings,
            kafka_bootstrap_servers=address,
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism="SCRAM-SHA-512",
            kafka_sasl_username=USER,
            kafka_sasl_password=PASSWORD,
            kafka_ssl_ca=str(authority),
        )
    finally:
        broker.ask_to_stop()
        broker.wait_stopped()
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_an_order_goes_the_whole_way(
    servers: EmbeddedServers, managed: Settings, mechanism: str
) -> None:
    settings = new_settings(servers, replace(managed, kafka_sasl_mechanism=mechanism))
    with System(settings) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product()["productId"]
        order = system.new_order(customer, (product, 2))["orderId"]
        system.wait_projected()
        assert system.queries.get(f"/orders/{order}").json["totalPrice"] == "25.50"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kafka_sasl_password": "another"},
        {"kafka_ssl_ca": None},
        {"kafka_security_protocol": "PLAINTEXT"},
    ],
    ids=["password", "authority", "in the clear"],
)
def test_wrong_settings_are_said_on_one_line(
    managed: Settings, servers: EmbeddedServers, wrong: dict[str, Any]
) -> None:
    known = new_settings(servers)
    settings = replace(
        managed, postgres_url=known.postgres_url, mongodb_uri=known.mongodb_uri, **wrong
    )
    done = System(settings).cli("migrate")
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("storelog: Kafka: ")
    assert done.stderr.count("\n") == 1
    assert "look at kafka_" in done.stderr or "kafka_sasl_password" in done.stderr
    assert not any(detail in done.stderr for detail in ("://", "/bootstrap", "(after", "Local:"))
    assert PASSWORD not in done.stderr
