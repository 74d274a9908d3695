"""A connection to PostgreSQL that one user keeps: opened when it is needed, and anew when it ended.

Next: command_service/store.py
"""

from collections.abc import Awaitable, Callable

import asyncpg

from storelog.command_service import store

CheckConnection = Callable[[asyncpg.Connection], Awaitable[None]]


class KeptConnection:
    """One connection at a time. `check` looks at each new one before it is used, and may raise."""

    def __init__(self, postgres_url: str, check: CheckConnection | None = None) -> None:
        self._url = postgres_url
        self._check = check
        self._connection: asyncpg.Connection | None = None

    @property
    def current(self) -> asyncpg.Connection | None:
        """The connection, None where there is none that is open."""
        if self._connection is None or self._connection.is_closed():
            return None
        return self._connection

    async def connect(self) -> tuple[asyncpg.Connection, bool]:
        """Return the connection, and whether it is a new one.

        Raises what store.connect and the check raise.
        """
        if self.current is not None:
            return self.current, False
        connection = await store.connect(self._url)
        if self._check is not None:
            try:
                await self._check(connection)
            except BaseException:
                connection.terminate()
                raise
        self._connection = connection
        return connection, True

    def disconnect(self) -> None:
        """Drop the connection; the server ends what it was doing for it."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
