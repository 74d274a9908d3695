"""The topic of keys, and what became of it, are lost on no reader: a revoked key stays refused."""

import json
import os
import signal

from storelog.config import Settings
from storelog.kafka import keys_topic
from storelog.relay.topics import ensure_topics
from support.embedded import EmbeddedServers
from support.http import Client
from support.kafka import delete_topic
from support.system import System, wait_for


def make_key(system: System, name: str) -> str:
    made = system.cli("keys", "create", name, "--role", "read", "--json")
    assert made.returncode == 0, made.stderr
    key: str = json.loads(made.stdout)["key"]
    return key


def wait_status(system: System, key: str, status: int) -> None:
    reader = Client(system.queries.url, key)
    wait_for(lambda: reader.get("/").status == status, f"{status}; {system.log('projector')}")


def test_keys_are_kept_though_their_topic_was_made_again_after_its_broker_was_killed(
    servers: EmbeddedServers, settings: Settings
) -> None:
    with System(settings) as system:
        key = make_key(system, "till")
        wait_status(system, key, 200)
        # Each start of the broker raises the epochs of its topics; a new topic's begin at zero.
        os.kill(servers.pid("kafka"), signal.SIGKILL)
        servers.restart("kafka")
        other = make_key(system, "other")
        wait_status(system, other, 200)
        delete_topic(settings, keys_topic(settings))
        # At once, so that nobody sees that there was none in between.
        ensure_topics(settings, 3)
        assert system.cli("keys", "revoke", "till").returncode == 0
        wait_status(system, key, 401)
        wait_status(system, other, 200)


def test_keys_are_there_again_after_mongodb_was_emptied(settings: Settings) -> None:
    with System(settings) as system:
        key = make_key(system, "till")
        wait_status(system, key, 200)
        system.mongo.client.drop_database(system.mongo.name)
        wait_for(lambda: system.mongo.api_keys.find_one({"_id": "keys"}), "the keys")
        wait_status(system, key, 200)
