"""How every process opens a connection to PostgreSQL: each host in time, a session of its own.

Guarantees that a connection keeps its settings and locks (a pooler that shares sessions between
clients is rejected), and that a connection for writing goes to a server that takes writes.
Next: command_service/store.py
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any

import asyncpg

from storelog.errors import CannotRun
from storelog.postgres_address import Address, parse_address
from storelog.reasons import reason

SHARED = (
    "PostgreSQL is behind a pooler that shares sessions (PgBouncer's transaction or statement"
    " mode): set its pool_mode to session, or name PostgreSQL itself in STORELOG_POSTGRES_URL"
)
READ_ONLY = "PostgreSQL is read-only."
# These mean that a statement went to another session than the one that prepared it.
_ELSEWHERE = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
# Failures that a command reports in one line: the server rejects it, is away, or went away.
FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # The driver raises this when the connection ends between two of its messages.
    asyncpg.InternalClientError,
)
# The host of each URL that worked the last time: it is tried first, which saves time-outs.
_chosen: dict[str, int] = {}


class SessionShared(asyncpg.PostgresConnectionError):  # type: ignore[misc]
    """A pooler between this program and PostgreSQL does not keep sessions apart."""


async def connect(
    url: str | None,
    *,
    timeout: float,
    command_timeout: float | None = None,
    server_settings: Mapping[str, str] | None = None,
    is_writing: bool = True,
    **driver: Any,
) -> asyncpg.Connection:
    """Open a connection within `timeout` seconds, of which each host gets its share.

    `is_writing`: accept only a server that takes writes; otherwise such a server is preferred.
    Raises OSError, TimeoutError, PostgresError: SessionShared, and ReadOnlySQLTransactionError
    where all servers that respond are read-only.
    """
    if url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    address = parse_address(url)
    count = max(1, len(address.hosts))
    first = _chosen.get(url, 0) % count
    give_up_at = time.monotonic() + timeout
    failures: dict[int, Exception] = {}
    fallback: asyncpg.Connection | None = None
    for tried in range(count):
        number = (first + tried) % count
        share = (give_up_at - time.monotonic()) / (count - tried)
        opening = _Opening(address, number, command_timeout, server_settings or {}, driver)
        try:
            async with asyncio.timeout(min(share, address.connect_timeout or share)):
                connection, is_read_only = await opening.open()
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
            failures[number] = error
            continue
        except BaseException:
            if fallback is not None:
                fallback.terminate()
            raise
        if not is_read_only:
            if fallback is not None:
                fallback.terminate()
            _chosen[url] = number
            return connection
        failures[number] = asyncpg.ReadOnlySQLTransactionError(READ_ONLY)
        if is_writing or fallback is not None:
            connection.terminate()
        else:
            fallback = connection
    if fallback is not None:
        return fallback
    raise _why_none(address, failures)


def _why_none(address: Address, failures: Mapping[int, Exception]) -> Exception:
    """Return the error of one host, or one for all; a read-only host explains most."""
    errors = [failures[number] for number in sorted(failures)]
    read_only = [e for e in errors if isinstance(e, asyncpg.ReadOnlySQLTransactionError)]
    if read_only or len(errors) == 1:
        return (read_only or errors)[0]
    places = (f"{host}:{port}" for host, port in address.hosts)
    failed = (f"{place}: {reason(error)}" for place, error in zip(places, errors, strict=True))
    return ConnectionError("; ".join(failed))


class _Opening:
    """One host of an address, and how a connection to it is opened."""

    def __init__(
        self,
        address: Address,
        number: int,
        command_timeout: float | None,
        settings: Mapping[str, str],
        driver: Mapping[str, Any],
    ) -> None:
        self._dsn = address.dsn
        place = {}
        if address.hosts:
            place = dict(zip(("host", "port"), address.hosts[number], strict=True))
        self._driver = {
            **driver,
            **place,
            "command_timeout": command_timeout,
            "target_session_attrs": "any",
            # Poolers reject other settings at the start, or forget them.
            "server_settings": {"application_name": settings.get("application_name", "storelog")},
        }
        self._settings = settings

    async def open(self) -> tuple[asyncpg.Connection, bool]:
        """Return a connection that has its settings, and whether its server takes no writes."""
        connection = await self._connect()
        try:
            row = await connection.fetchrow(_begin(self._settings))
            if row["pid"] != connection.get_server_pid():
                await self._check_session(connection, row["pid"])
        except BaseException as error:
            connection.terminate()
            if isinstance(error, _ELSEWHERE):
                raise SessionShared(SHARED) from error
            raise
        return connection, row["is_read_only"]

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._dsn, timeout=None, **self._driver)

    async def _check_session(self, connection: asyncpg.Connection, pid: int) -> None:
        """Check that a second connection gets another session while this one is idle."""
        token = secrets.token_hex(8)
        await connection.execute(f"SET storelog.session = '{token}'")
        other = await self._connect()
        try:
            others = await other.fetchval("SELECT pg_backend_pid()")
            row = await connection.fetchrow(
                "SELECT pg_backend_pid(), current_setting('storelog.session', true)"
            )
        finally:
            other.terminate()
        if others == pid or tuple(row) != (pid, token):
            raise SessionShared(SHARED)


def _begin(settings: Mapping[str, str]) -> str:
    """Return the query that gives a session its settings, and tells its process and state."""
    given = "".join(f", set_config('{name}', '{value}', false)" for name, value in settings.items())
    return (
        "SELECT pg_backend_pid() AS pid,"
        f" current_setting('transaction_read_only')::boolean AS is_read_only{given}"
    )
