"""Whether PostgreSQL responds while a batch is being written, and a clock that then stands still.

A command that waits behind one slow statement is not rejected for that: as long as PostgreSQL
responds to other statements, the time does not count. If PostgreSQL does not respond, the clock
goes on, and commands that wait get 503 within a second.
Next: command_service/kept_connection.py
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from storelog import postgres
from storelog.command_service.kept_connection import KeptConnection
from storelog.errors import Unavailable

# A batch is slow when it is being written for longer than SLOW; a response within FRESH proves that
# PostgreSQL responds.
SLOW_SECONDS, FRESH_SECONDS = 0.15, 0.5
HEARD_SECONDS = 0.8


class Pulse:
    """One per pipeline; its connection is open only while a batch is slow."""

    def __init__(self, postgres_url: str) -> None:
        # Seconds that did not count so far.
        self._excused = 0.0
        self._ticked_at = time.monotonic()
        self._responded_at = float("-inf")
        self.is_failing = False
        self._connection = KeptConnection(postgres_url)
        self._check: asyncio.Task[None] | None = None

    def now(self) -> float:
        """Return the time in seconds, without the time that does not count."""
        return time.monotonic() - self._excused

    def why_late(self) -> Unavailable:
        """Return the true reason why a batch was not decided in time."""
        return self._why(HEARD_SECONDS)

    def why_waiting(self) -> Unavailable:
        """Return the true reason why a command was not taken in time."""
        return self._why(FRESH_SECONDS)

    def _why(self, seconds: float) -> Unavailable:
        if time.monotonic() - self._responded_at < seconds:
            return Unavailable("Too many commands are waiting.", slug="overloaded")
        return Unavailable("PostgreSQL did not respond in time.")

    def heard(self) -> None:
        """Take note that PostgreSQL responds."""
        self._responded_at = time.monotonic()
        self.is_failing = False

    def failed(self) -> None:
        """Take note that PostgreSQL does not respond."""
        self.is_failing = True

    @contextmanager
    def standing_still(self, is_large: bool) -> Iterator[None]:
        """Let the clock stand still while a large command has the service for itself."""
        began = time.monotonic()
        yield
        if is_large:
            self._excused += time.monotonic() - began

    def tick(self, writing_since: float | None) -> None:
        """Take note of the time; `writing_since` (monotonic): of the batch being written."""
        now = time.monotonic()
        elapsed, self._ticked_at = now - self._ticked_at, now
        if writing_since is None or now - writing_since < SLOW_SECONDS:
            self.stop()
            return
        if now - self._responded_at < FRESH_SECONDS:
            self._excused += elapsed
        if self._check is None:
            self._check = asyncio.create_task(self._probe())

    def stop(self) -> None:
        """Close the connection."""
        if self._check is not None:
            self._check.cancel()
            self._check = None
        self._connection.disconnect()

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(FRESH_SECONDS):
                connection, _ = await self._connection.connect()
                await connection.execute("SELECT 1")
        except postgres.FAILURES:
            self._connection.disconnect()
            self.failed()
        else:
            self.heard()
        self._check = None
