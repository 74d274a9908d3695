"""What PostgreSQL and its driver say while it is away is waited for, not a process's end."""

import asyncpg
import pytest

from storelog.command_service import store
from storelog.relay import cursor

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


@pytest.mark.parametrize("error", AWAY)
def test_the_relay_and_the_pipeline_wait_for_a_server_that_is_away(error: type[Exception]) -> None:
    assert issubclass(error, cursor.AWAY)
    assert issubclass(error, store.AWAY)
