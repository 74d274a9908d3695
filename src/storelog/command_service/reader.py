"""A few connections that only read, each use with a deadline: 503 in time when PostgreSQL is slow.

Guarantees that a read that waits, for a connection or for PostgreSQL, is given up at its deadline,
and that at most so many wait: more are rejected at once, so that nothing piles up behind a lock.
Next: command_service/log_reader.py
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from storelog import postgres
from storelog.command_service import failures, store
from storelog.errors import Unavailable

T = TypeVar("T")
MAX_WAITING = 64
# The server gives up before the caller does, so that the connection can be used again.
STATEMENT_SHARE = 0.7


class Reader:
    """At most `connections` to PostgreSQL; each use ends within `deadline_seconds`."""

    def __init__(
        self,
        postgres_url: str,
        *,
        connections: int,
        deadline_seconds: float,
        is_writing: bool = False,
    ) -> None:
        """`is_writing`: read only from a server that takes writes."""
        self._url, self._connections, self._deadline = postgres_url, connections, deadline_seconds
        self._is_writing = is_writing
        self._pool: asyncpg.Pool | None = None
        self._uses: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """Start without opening a connection: PostgreSQL may be away when the service starts."""
        limit_ms = str(int(1_000 * STATEMENT_SHARE * self._deadline))
        self._pool = asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections,
            connect=postgres.connect,
            # The session gets its settings by `SET`, which the driver's own reset would undo.
            reset=_keep,
            is_writing=self._is_writing,
            timeout=self._deadline,
            command_timeout=self._deadline,
            max_inactive_connection_lifetime=30,
            server_settings={
                **store.SESSION_SETTINGS,
                "statement_timeout": limit_ms,
                "lock_timeout": limit_ms,
                # A page must be read in an index's order: a plan that sorts the log is too slow.
                "enable_seqscan": "off",
                "enable_bitmapscan": "off",
                "enable_sort": "off",
            },
        )
        await self._pool

    def stop(self) -> None:
        """Close all connections; reads that still run get Unavailable."""
        if self._pool is not None:
            self._pool.terminate()

    async def read(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Return what `work` reads. Raises Unavailable at the deadline, and for any other failure.

        A read that was given up ends in the background, by its own time-outs; it counts until then.
        """
        if len(self._uses) >= self._connections + MAX_WAITING:
            raise Unavailable("Too many reads wait for PostgreSQL.", slug="overloaded")
        use: asyncio.Task[T] = asyncio.create_task(self._use(work))
        self._uses.add(use)
        use.add_done_callback(self._ended)
        try:
            await asyncio.wait({use}, timeout=self._deadline)
            if not use.done():
                raise Unavailable("PostgreSQL did not respond in time.")
            return use.result()
        except (TimeoutError, asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as error:
            raise Unavailable("PostgreSQL did not respond in time.") from error
        except postgres.FAILURES as error:
            told = failures.server_reason(error) or "PostgreSQL is away or not migrated."
            raise Unavailable(told) from error
        finally:
            use.cancel()

    async def _use(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        if self._pool is None:
            raise Unavailable("The service is starting.")
        async with self._pool.acquire(timeout=self._deadline) as connection:
            return await work(connection)

    def _ended(self, use: "asyncio.Task[T]") -> None:
        self._uses.discard(use)
        if not use.cancelled():
            # The caller may have given up; asyncio would report an error that nobody looked at.
            use.exception()


async def _keep(_connection: asyncpg.Connection) -> None:
    """Leave a connection as it is."""
