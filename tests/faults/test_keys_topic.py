"""Whatever happens to the topic of keys, a revoked key stays rejected by every service."""

import asyncio
import json
import os
import signal
from hashlib import sha256
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Producer

from storelog.api_keys import create, read_announced
from storelog.config import Settings
from storelog.kafka import client_settings, keys_topic
from storelog.origin import public_key, sign
from storelog.relay import keys
from storelog.relay.topics import ensure_topics
from support.embedded import EmbeddedServers
from support.http import Client
from support.kafka import delete_topic, read_topics
from support.system import System, wait_for


def make_key(system: System, name: str) -> str:
    made = system.cli("keys", "create", name, "--role", "read", "--json")
    assert made.returncode == 0, made.stderr
    key: str = json.loads(made.stdout)["key"]
    return key


def wait_status(system: System, key: str, status: int) -> None:
    reader = Client(system.queries.url, key)
    wait_for(
        lambda: reader.get("/metrics").status == status, f"{status}; {system.log('projector')}"
    )


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
        # At once, so that no process sees the time without it.
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


def test_a_set_of_keys_that_is_late_or_forged_brings_no_key_back(settings: Settings) -> None:
    topic = keys_topic(settings)
    with System(settings) as system:
        revoked = make_key(system, "till")
        wait_status(system, revoked, 200)
        late = read_topics(settings, [topic], lanes=1)[-1]
        assert system.cli("keys", "revoke", "till").returncode == 0
        wait_status(system, revoked, 401)
        hashed = sha256(b"forged").hexdigest()
        key = {"name": "x", "role": "admin", "sha256": hashed, "expiresAt": None}
        forged = json.dumps({"version": 2**60, "isUsed": True, "keys": [key]}).encode()
        unused = json.dumps({"version": 2**60, "isUsed": False, "keys": []}).encode()
        stranger = bytes(31) + b"s"
        signed = [("signer", public_key(stranger)), ("signature", sign(stranger, forged))]
        producer = Producer(client_settings(settings))
        records: list[tuple[bytes, Any]] = [
            (late.value() or b"", late.headers()),
            (forged, []),
            (unused, []),
            (forged, signed),
            (forged, late.headers()),
            (b"rubbish", late.headers()),
        ]
        for value, headers in records:
            producer.produce(topic, value, b"keys", partition=0, headers=headers)
        assert producer.flush(30) == 0
        # Whatever came before it on the topic was read once this one is known.
        wait_status(system, make_key(system, "other"), 200)
        for text in (revoked, "forged", None):
            assert Client(system.queries.url, text).get("/metrics").status == 401
        # Nor do they after MongoDB was emptied, and all is read again.
        system.mongo.client.drop_database(system.mongo.name)
        wait_for(lambda: system.mongo.api_keys.find_one({"_id": "keys"}), "the keys")
        for text in (revoked, "forged", None):
            assert Client(system.queries.url, text).get("/metrics").status == 401


def test_the_newest_set_of_keys_is_announced_again_and_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys.AGAIN_SECONDS == 60
    monkeypatch.setattr(keys, "AGAIN_SECONDS", 0.1)

    async def run() -> None:
        announcing = asyncio.create_task(keys.KeyAnnouncer(settings).run())
        try:
            async with asyncio.timeout(60):
                found = await asyncio.to_thread(_three_sets, settings)
        finally:
            announcing.cancel()
        assert len(set(found)) == 1

    asyncio.run(run())


def _three_sets(settings: Settings) -> list[bytes | None]:
    def found() -> list[bytes | None]:
        return [m.value() for m in read_topics(settings, [keys_topic(settings)], lanes=1)]

    sets: list[bytes | None] = wait_for(lambda: found() if len(found()) > 2 else None, "three sets")
    return sets


def test_two_changes_of_keys_at_once_are_two_versions(settings: Settings) -> None:
    """Else the set with one of them could never be told from the set with both."""

    async def run() -> None:
        first, second, reader = [await asyncpg.connect(settings.postgres_url) for _ in range(3)]
        before = (await read_announced(reader))[0].version
        transaction = first.transaction()
        await transaction.start()
        await create(first, "a", "read", None)
        other = asyncio.create_task(create(second, "b", "read", None))
        await transaction.commit()
        between, _ = await read_announced(reader)
        await other
        after, _ = await read_announced(reader)
        assert before < after.version
        assert [key.name for key in after.keys] == ["a", "b"]
        if len(between.keys) == 1:
            assert between.version < after.version
        for connection in (first, second, reader):
            await connection.close()

    asyncio.run(run())
