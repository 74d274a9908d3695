"""The connection that batches are decided over, beside the one that writes them (landing.py).

It is made anew whenever it has ended. Next: command_service/decider.py
"""

import asyncpg

from storelog.command_service import store


class ReadConnection:
    """The pipeline's reading connection."""

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url
        self._connection: asyncpg.Connection | None = None

    async def connect(self) -> tuple[asyncpg.Connection, bool]:
        """Return the connection, and whether it is a new one. Raises what store.connect does."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection, False
        self._connection = await store.connect(self._url)
        return self._connection, True

    def disconnect(self) -> None:
        """Drop the connection; the server ends what it was doing for it."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
