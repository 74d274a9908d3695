"""A confirmed command is on disk: none of the settings for that was given up for speed."""

import asyncio
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from storelog.command_service import store
from storelog.config import Settings
from storelog.projector.databases.connection import sibling
from storelog.projector.projector import Projector
from storelog.relay import publisher
from support.embedded import EmbeddedServers


def test_postgresql_confirms_a_command_once_it_is_on_disk(settings: Settings) -> None:
    async def show() -> dict[str, str]:
        connection = await store.connect(settings.postgres_url or "")
        try:
            names = ("synchronous_commit", "fsync", "full_page_writes")
            return {name: await connection.fetchval(f"SHOW {name}") for name in names}
        finally:
            await connection.close()

    assert asyncio.run(show()) == {
        "synchronous_commit": "on",
        "fsync": "on",
        "full_page_writes": "on",
    }


def test_the_relay_waits_for_every_copy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def make(configuration: dict[str, Any]) -> Producer:
        given.update(configuration)
        return Producer(configuration)

    monkeypatch.setattr(publisher, "Producer", make)
    publisher.Publisher(settings).close()
    assert given["acks"] == "all"
    assert given["enable.idempotence"] is True
    assert given["delivery.timeout.ms"] == 0


def test_the_embedded_mongodb_server_syncs_what_it_commits(servers: EmbeddedServers) -> None:
    argv = psutil.Process(servers.pid("mongodb")).cmdline()
    if any(part.endswith("mongod") for part in argv[:2]):
        # MongoDB's own always has a journal, and a write with `j` waits for it.
        assert "--storageEngine" not in argv
    else:
        assert "--sync-on-commit" in argv


def test_the_projector_waits_for_a_majority_and_the_journal(settings: Settings) -> None:
    home = Projector(settings)._home
    for database in (home, sibling(home, "another")):
        assert database.write_concern.document == {"w": "majority", "j": True, "wtimeout": 30_000}
        assert database["orders"].write_concern == database.write_concern
    home.client.close()
