"""Reads and locks the log's head: the one row that every writer of the log shares.

No other row is read with a lock. The holder of the lock is the only one that can append until its
transaction ends; a writer that does not get the lock in time gets Conflicted.
Next: command_service/store.py
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from storelog import postgres
from storelog.command_service.state import BEFORE_ALL, Head
from storelog.log_history import CURRENT
from storelog.shop.value import value
from storelog.web.clock import PostgresClock

_HEAD = f"""SELECT position, hash, nullif(recorded_at, '-infinity') AS recorded_at,
    {CURRENT} AS history FROM log_head"""
# Materialized, since a plain query would read the clock before it waits for the lock.
_HOLD_HEAD = f"""WITH head AS MATERIALIZED (
        SELECT position, hash, nullif(recorded_at, '-infinity') AS recorded_at,
            nullif(settled_at, '-infinity') AS settled_at
        FROM log_head FOR UPDATE
    ) SELECT *, clock_timestamp() AS held_since, {CURRENT} AS history FROM head"""


async def read_head(connection: asyncpg.Connection) -> Head:
    """Return the log's head."""
    return _head(await connection.fetchrow(_HEAD))


def _head(row: asyncpg.Record) -> Head:
    at = row["recorded_at"] or BEFORE_ALL
    return Head(row["position"], row["hash"], at, row["history"] or "")


async def look(connection: asyncpg.Connection, clock: PostgresClock) -> Head:
    """Return the log's head, and keep the clock current.

    Raises ReadOnlySQLTransactionError if the server no longer takes writes, and closes the
    connection, so that the next one finds a server that does.
    """
    if await connection.fetchval("SELECT current_setting('transaction_read_only')::boolean"):
        connection.terminate()
        raise asyncpg.ReadOnlySQLTransactionError(postgres.READ_ONLY)
    await clock.keep_current(connection)
    return await read_head(connection)


class Conflicted(Exception):
    """Another service wrote first; nothing of this batch was written."""


@value
class HeldHead:
    """The log's head while it is locked: since when, and up to when the log is settled."""

    head: Head
    since: datetime
    settled_at: datetime


@asynccontextmanager
async def head_locked(connection: asyncpg.Connection) -> AsyncIterator[HeldHead]:
    """Lock the log's head and yield it; other writers wait until this transaction ends."""
    try:
        async with connection.transaction():
            row = await connection.fetchrow(_HOLD_HEAD)
            yield HeldHead(_head(row), row["held_since"], row["settled_at"] or BEFORE_ALL)
    except (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError) as error:
        raise Conflicted from error
