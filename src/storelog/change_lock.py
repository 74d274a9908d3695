"""The lock on changes of the read side: one change at a time, for as long as its connection lives.

`lanes set`, `rebuild`, a promotion, a rollback and `verify --repair` hold it in PostgreSQL. While
it is free, any remains of a change are those of an interrupted one, and are undone or completed.
Next: interrupted_changes.py
"""

import asyncio

import asyncpg

from storelog.errors import CannotRun

CHANGE_LOCK = 0x4368616E67657273  # "Changers"
WAIT_SECONDS = 10.0
_NO_LONGER_WANTED = (
    "UPDATE relay_cursor SET lanes_wanted = NULL, epoch = epoch + 1 WHERE lanes_wanted IS NOT NULL"
)


async def take(connection: asyncpg.Connection, seconds: float = WAIT_SECONDS) -> None:
    """Hold the lock until the connection ends. Raises CannotRun if another change holds it."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + seconds
    # Tried again, since a blocking lock would wait beyond the deadline.
    while not await is_taken(connection):
        if loop.time() > give_up_at:
            raise CannotRun(
                "another change of the read side is under way (`lanes set`, `rebuild` or `verify"
                " --repair`): wait for its end, or end it"
            )
        await asyncio.sleep(0.1)


async def is_taken(connection: asyncpg.Connection) -> bool:
    """Take the lock if it is free; return whether this connection has it now."""
    return await _try(connection, "pg_try_advisory_lock")


async def take_back_lanes(connection: asyncpg.Connection) -> None:
    """Let the relay send again with the present lanes; the change can then no longer complete.

    The caller must hold the lock, or be the change itself.
    """
    await connection.execute(_NO_LONGER_WANTED)


async def wanted_lanes(connection: asyncpg.Connection) -> int | None:
    """Return the number of lanes that a change is making; undo a change that was interrupted."""
    wanted: int | None = await connection.fetchval("SELECT lanes_wanted FROM relay_cursor")
    if wanted is None:
        return None
    async with connection.transaction():
        if not await _try(connection, "pg_try_advisory_xact_lock"):
            return wanted
        await take_back_lanes(connection)
    return None


async def _try(connection: asyncpg.Connection, function: str) -> bool:
    return bool(await connection.fetchval(f"SELECT {function}($1)", CHANGE_LOCK))
