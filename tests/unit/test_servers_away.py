"""What PostgreSQL and its driver say while it is away is waited for, not a process's end."""

import asyncio

import asyncpg
import pytest
from pymongo.errors import ServerSelectionTimeoutError

from storelog import postgres
from storelog.command_service import store
from storelog.config import Settings
from storelog.doctor.check import PROBLEM
from storelog.doctor.servers import check_postgres
from storelog.errors import CannotRun
from storelog.reasons import reason
from storelog.relay.keys import KeyAnnouncer
from storelog.relay.relay import Relay
from storelog.upkeep.state_tables import rebuild_state_tables

AWAY = [
    ConnectionResetError,
    TimeoutError,
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.CrashShutdownError,
    asyncpg.DiskFullError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.QueryCanceledError,
    asyncpg.TooManyConnectionsError,
]


# What a server with a full or broken disk, or one that was not migrated yet, says beside those.
UNABLE = [
    asyncpg.DeadlockDetectedError,
    asyncpg.InternalServerError,
    asyncpg.PostgresIOError,
    asyncpg.UndefinedTableError,
]


@pytest.mark.parametrize("error", AWAY)
def test_the_pipeline_waits_for_a_server_that_is_away(error: type[Exception]) -> None:
    assert issubclass(error, store.AWAY)


@pytest.mark.parametrize("error", [*AWAY, *UNABLE])
@pytest.mark.parametrize("worker", [Relay, KeyAnnouncer])
def test_a_relay_tries_again_whatever_keeps_postgresql_from_responding(
    error: type[Exception],
    worker: type[Relay] | type[KeyAnnouncer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = asyncio.Event()
    attempts = 0

    async def connect(*_: object, **__: object) -> None:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            tried.set()
        raise error("got result for unknown protocol state 3")

    async def run() -> None:
        running = asyncio.create_task(worker(settings).run())
        waiting = asyncio.create_task(tried.wait())
        await asyncio.wait({running, waiting}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done() and waiting.done()
        running.cancel()

    monkeypatch.setattr(postgres, "connect", connect)
    settings = Settings(
        postgres_url="postgresql://127.0.0.1/shop", kafka_bootstrap_servers="127.0.0.1:9"
    )
    asyncio.run(run())


@pytest.mark.parametrize("error", AWAY)
def test_a_command_says_in_a_line_that_postgresql_went_away_in_the_middle(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object, **__: object) -> None:
        raise error("got result for unknown protocol state 3")

    monkeypatch.setattr(postgres, "connect", connect)
    settings = Settings(postgres_url="postgresql://127.0.0.1/shop")
    assert check_postgres(settings).state == PROBLEM
    with pytest.raises(CannotRun, match="PostgreSQL"):
        asyncio.run(rebuild_state_tables(settings, lambda *_: None))


def test_a_mongodb_that_never_responds_is_reported_without_its_drivers_words() -> None:
    said = "No servers found yet, Timeout: 5.0s, Topology Description: <TopologyDescription id: 1>"
    assert reason(ServerSelectionTimeoutError(said)) == "it did not respond in time"
