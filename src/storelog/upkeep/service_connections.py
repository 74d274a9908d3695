"""Ends the Command Services' connections, when the state that they keep is no longer true.

Next: upkeep/state_tables.py
"""

import asyncpg

from storelog.errors import CannotRun

END_MS = 5_000
END_TRIES = 3


async def end_connections(connection: asyncpg.Connection) -> None:
    """End the Command Services' connections, and with them the state in their memory.

    A batch that waits for the head ends with its connection, and is decided again.
    Raises CannotRun.
    """
    for _ in range(END_TRIES):
        # Within a transaction the view of activity would not change.
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        # False for a connection that does not end in time, and for one that has ended by itself.
        has_ended = await connection.fetch(
            f"SELECT pg_terminate_backend(pid, {END_MS}) FROM pg_stat_activity"
            " WHERE application_name = 'storelog command-service'"
            " AND datname = current_database()"
        )
        if all(one for (one,) in has_ended):
            return
    raise CannotRun("a Command Service's connection to PostgreSQL does not end")
