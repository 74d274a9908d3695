"""Servers that speak MongoDB's protocol and lack something: a safeguard, or what is needed."""

import subprocess
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient

from storelog.config import Settings
from storelog.read_side import database_name
from support.embedded import EmbeddedServers, bare_settings
from support.standalone import Lacking
from support.system import System


def _migrate(settings: Settings, front: Lacking) -> "subprocess.CompletedProcess[str]":
    address = urlsplit(settings.mongodb_uri or "")
    place = address._replace(netloc=f"127.0.0.1:{front.port}").geturl()
    return System(replace(settings, mongodb_uri=place)).cli("migrate")


def _before(settings: Settings, lacks: Any) -> Lacking:
    address = urlsplit(settings.mongodb_uri or "")
    return Lacking(str(address.hostname), address.port or 0, lacks)


def test_a_server_without_validators_is_used_with_a_warning(servers: EmbeddedServers) -> None:
    settings = bare_settings(servers)
    with _before(settings, lambda command: "validator" in command) as front:
        done = _migrate(settings, front)
    assert done.returncode == 0, done.stderr
    assert "Warning: MongoDB: " in done.stdout
    assert "has no validators" in done.stdout
    assert set(front.refused) <= {"create", "collMod"}


def test_a_server_that_lacks_what_is_needed_is_rejected_by_name_and_nothing_is_written(
    servers: EmbeddedServers,
) -> None:
    settings = bare_settings(servers)
    with _before(settings, lambda command: "createIndexes" in command) as front:
        done = _migrate(settings, front)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("storelog: MongoDB: MongoDB ")
    assert "cannot be used, it lacks indexes on several fields (error 238" in done.stderr
    client: MongoClient[dict[str, Any]] = MongoClient(settings.mongodb_uri)
    assert client[database_name(settings)].list_collection_names() == []
    client.close()
