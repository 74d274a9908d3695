"""Which set of keys counts: one that is proven, and none where none is."""

import asyncio
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from confluent_kafka import Producer
from pymongo import MongoClient
from pymongo.database import Database

from storelog.config import Settings
from storelog.kafka import client_settings, keys_topic
from storelog.origin import public_key, sign
from storelog.read_side import database_name
from storelog.server_setup import set_up_servers
from support.http import Client, Reply
from support.system import System, wait_for

Home = Database[dict[str, Any]]
ENVIRONMENT = {"STORELOG_API_KEYS": f"prometheus:read:{sha256(b'own').hexdigest()}"}


@pytest.fixture
def home(settings: Settings) -> Iterator[Home]:
    """The database that the URI names."""
    with MongoClient[dict[str, Any]](settings.mongodb_uri) as client:
        yield client[database_name(settings)]


def is_not_known(reply: Reply) -> bool:
    known = (reply.status, reply.slug if reply.status == 503 else "")
    return known == (503, "unavailable") and "not known yet" in reply.json["detail"]


def test_without_a_set_of_keys_that_is_proven_nobody_is_let_in(
    settings: Settings, home: Home
) -> None:
    """An emptied MongoDB, and a Query Service that starts before `storelog migrate`."""
    home.client.drop_database(home.name)
    open_to_all = {"_id": "keys", "version": 2**60, "isUsed": False, "keys": []}
    with System(settings, ("query-service",)) as system:
        for text in (None, "own"):
            assert is_not_known(Client(system.queries.url, text).get("/customers"))
        # As earlier releases kept it, and as anybody might write it.
        home.api_keys.insert_one(open_to_all)
        wait_for(lambda: "not known yet" in system.log("query-service"), "a look at the keys")
        for path in ("/customers", "/metrics"):
            assert is_not_known(system.queries.get(path))
        for path in ("/health/live", "/health/ready", "/"):
            assert system.queries.get(path).status == 200
        asyncio.run(set_up_servers(settings))
        wait_for(lambda: system.queries.get("/customers").status == 200, "an open shop")


def test_keys_of_the_environment_are_let_in_whatever_mongodb_has_lost(
    settings: Settings, home: Home
) -> None:
    home.client.drop_database(home.name)
    with System(settings, ("query-service",), ENVIRONMENT) as system:
        assert Client(system.queries.url, "own").get("/customers").status == 200
        assert is_not_known(Client(system.queries.url, "other").get("/customers"))
        assert system.queries.get("/customers").status == 401


def test_no_set_is_taken_while_it_is_not_known_whose_signature_counts(
    settings: Settings, home: Home
) -> None:
    home.client.drop_database(home.name)
    hashed, stranger = sha256(b"forged").hexdigest(), bytes(31) + b"s"
    key = {"name": "x", "role": "admin", "sha256": hashed, "expiresAt": None}
    forged = json.dumps({"version": 2**60, "isUsed": True, "keys": [key]}).encode()
    producer = Producer(client_settings(settings))
    signed: list[tuple[str, Any]] = [
        ("signer", public_key(stranger)),
        ("signature", sign(stranger, forged)),
    ]
    producer.produce(keys_topic(settings), forged, b"keys", partition=0, headers=signed)
    assert producer.flush(30) == 0
    with System(settings, ()) as system:
        for name in ("projector", "relay", "query-service"):
            system.start(name)
        projector = Client(system.url("projector"))
        wait_for(lambda: "storelog migrate" in system.log("projector"), "what to do")
        wait_for(lambda: is_not_known(projector.get("/health/ready")), "what it waits for")
        for process in (projector, system.queries):
            for text in ("forged", None):
                assert is_not_known(Client(process.url, text).get("/metrics"))
        assert home.api_keys.count_documents({}) == 0
        # The relay announces that there is no key; whose signature that is must be known.
        asyncio.run(set_up_servers(settings))
        for process in (projector, system.queries):
            wait_for(lambda at=process: at.get("/metrics").status == 200, "an open shop")  # type: ignore[misc]
        found = home.api_keys.find_one({"_id": "keys"})
        assert found is not None
        assert found["isUsed"] is False


def test_a_set_of_an_earlier_release_gives_way_to_the_next_that_is_announced(
    settings: Settings, home: Home
) -> None:
    with System(settings, ()) as idle:
        made = idle.cli("keys", "create", "till", "--role", "read", "--json")
    key = json.loads(made.stdout)["key"]
    other = {"name": "x", "role": "admin", "sha256": sha256(b"x").hexdigest(), "expiresAt": None}
    for version in ({}, {"version": 2**60}):
        earlier = {"_id": "keys", **version, "isUsed": True, "keys": [other]}
        home.api_keys.replace_one({"_id": "keys"}, earlier, upsert=True)
        with System(settings) as system:
            reader = Client(system.queries.url, key)
            wait_for(lambda at=reader: at.get("/metrics").status == 200, "the key")  # type: ignore[misc]
            assert Client(system.queries.url, "x").get("/metrics").status == 401
            assert system.queries.get("/metrics").status == 401


def test_migrate_brings_the_set_and_no_older_one(settings: Settings, home: Home) -> None:
    with System(settings, ()) as idle:
        assert idle.cli("keys", "create", "till", "--role", "read").returncode == 0
        asyncio.run(set_up_servers(settings))
        newest = home.api_keys.find_one({"_id": "keys"})
        assert newest is not None
        assert [each["name"] for each in newest["keys"]] == ["till"]
        # PostgreSQL as it comes back from an older copy.
        idle.sql("UPDATE api_key_sets SET version = 1")
        asyncio.run(set_up_servers(settings))
        assert home.api_keys.find_one({"_id": "keys"}) == newest
