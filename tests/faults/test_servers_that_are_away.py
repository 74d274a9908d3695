"""Servers that are away: commands name them in their own words, and the relay's lag is known."""

import json
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.upkeep.dead_letters import dead_letters
from support.cli import run
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.system import System, wait_for

AWAY = {
    "STORELOG_COMMAND_URL": "http://127.0.0.1:1",
    "STORELOG_QUERY_URL": "http://127.0.0.1:1",
    "STORELOG_POSTGRES_URL": "postgresql://x@127.0.0.1:1/x",
    "STORELOG_MONGODB_URI": "mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=200",
    "STORELOG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
}
DRIVERS_WORDS = ("Errno", "Connect call", "Error(", "Topology", "aiohttp", "asyncpg", "timeouts")


@pytest.mark.parametrize(
    "command",
    ["events", "demo --duration 1", "lag", "verify", "migrate", "keys list", "rebuild",
     "resend --from 1", "dead-letters list", "lanes show"],
)  # fmt: skip
def test_a_server_that_is_away_is_named_without_a_driver_s_words(command: str) -> None:
    done = run(*command.split(), **AWAY)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert not [word for word in DRIVERS_WORDS if word in done.stderr], done.stderr


@pytest.mark.alone
def test_dead_letters_say_that_mongodb_is_away_as_soon_as_other_commands_do() -> None:
    began = time.monotonic()
    with (
        pytest.raises(CannotRun, match="Connection refused"),
        dead_letters(Settings(mongodb_uri="mongodb://127.0.0.1:1/x")) as letters,
    ):
        letters.list_all()
    assert time.monotonic() - began < 8


def test_doctor_names_a_server_that_is_away_in_its_own_words() -> None:
    said = run("doctor", **AWAY).stdout
    assert "Connection refused" in said
    assert not [word for word in DRIVERS_WORDS if word in said], said


def value(client: Client, name: str) -> float:
    """Return a metric without labels, 0 where there is none."""
    text = client.get("/metrics").raw.decode()
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return next((each.value for each in samples if (each.name, each.labels) == (name, {})), 0.0)


def has_metrics(client: Client) -> bool:
    """Tell whether it listens and knows the keys, without which it admits no client."""
    try:
        return client.get("/metrics").status == 200
    except OSError:
        return False


def test_the_relays_lag_is_known_while_kafka_is_away(servers: EmbeddedServers) -> None:
    nowhere = {
        "STORELOG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "STORELOG_LOG_FORMAT": "json",
    }
    with System(new_settings(servers), ("command-service",), nowhere) as system:
        for _ in range(3):
            system.new_customer()
        system.start("relay")
        relay = Client(system.url("relay"))
        wait_for(lambda: has_metrics(relay), "the relay's metrics")

        def has_tried() -> bool:
            return value(relay, "storelog_relay_retries_total") >= 1

        wait_for(has_tried, "the relay to try again")
        assert value(relay, "storelog_relay_lag_events") == 3
        assert value(relay, "storelog_relay_lag_seconds") > 0
        assert value(relay, "storelog_relay_position") == 0
        said = [json.loads(line) for line in system.log_lines("relay")]
        assert "kafka" in {line.get("logger") for line in said}
