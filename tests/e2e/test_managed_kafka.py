"""A managed Kafka: an order's whole way over SASL and TLS; what is said of wrong settings."""

import base64
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storelog.config import Settings
from storelog.kafka import client_settings
from support.embedded import EmbeddedServers, new_settings
from support.secure_kafka import PASSWORD, USER, secure_broker
from support.system import System, wait_for
from support.tokens import token_endpoint


@pytest.fixture(scope="module")
def managed(servers: EmbeddedServers) -> Iterator[Settings]:
    """Settings of the run's PostgreSQL and MongoDB, and of a Kafka that asks for SASL over TLS."""
    home = Path(tempfile.mkdtemp(prefix="storelog-kafka-"))
    broker, address, mutual, authority = secure_broker(home)
    (home / "mutual").write_text(mutual)
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


@pytest.fixture(scope="module")
def by_certificate(managed: Settings) -> Settings:
    home = Path(managed.kafka_ssl_ca or "").parent
    return replace(
        managed,
        kafka_bootstrap_servers=(home / "mutual").read_text(),
        kafka_security_protocol="SSL",
        kafka_sasl_mechanism=None,
        kafka_sasl_username=None,
        kafka_sasl_password=None,
        kafka_ssl_certificate=str(home / "client.pem"),
        kafka_ssl_key=str(home / "client.key"),
    )


@pytest.fixture(scope="module")
def by_token(managed: Settings) -> Iterator[Settings]:
    with token_endpoint("shop", "s3cret") as url:
        yield replace(
            managed,
            kafka_sasl_mechanism="OAUTHBEARER",
            kafka_sasl_username=None,
            kafka_sasl_password=None,
            kafka_oauth_token_url=url,
            kafka_oauth_client_id="shop",
            kafka_oauth_client_secret="s3cret",
            kafka_oauth_scope="kafka",
        )


@pytest.mark.parametrize("way", ["by_certificate", "by_token"])
def test_an_order_goes_the_whole_way_by_certificate_and_by_token(
    servers: EmbeddedServers, way: str, request: pytest.FixtureRequest
) -> None:
    settings = new_settings(servers, request.getfixturevalue(way))
    with System(settings) as system:
        assert system.new_customer()["customerId"] > 0
        system.wait_projected()
        done = system.cli("doctor")
        assert "ok       Kafka" in done.stdout, done.stdout


def test_without_its_certificate_a_client_is_told_which_broker_wants_one(
    servers: EmbeddedServers, by_certificate: Settings
) -> None:
    known = new_settings(servers)
    settings = replace(
        by_certificate,
        postgres_url=known.postgres_url,
        mongodb_uri=known.mongodb_uri,
        kafka_ssl_certificate=None,
        kafka_ssl_key=None,
    )
    done = System(settings).cli("migrate")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith(f"storelog: Kafka: {settings.kafka_bootstrap_servers}: ")
    assert "look at kafka_ssl_certificate" in done.stderr


def test_amazons_own_signer_makes_the_tokens_of_msk(
    managed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    aws = replace(managed, kafka_sasl_mechanism="AWS_MSK_IAM", kafka_aws_region="eu-west-1")
    told = client_settings(aws)
    token, ends_at = told["oauth_cb"]("")
    signed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    assert told["sasl.mechanism"] == "OAUTHBEARER"
    assert signed.startswith(
        "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect"
    )
    assert "AKIDEXAMPLE" in signed
    assert ends_at > time.time()


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
