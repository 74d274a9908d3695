"""The newest position that this service gave out or has seen, and whether the log still has it.

A new connection may lead to a server that lacks commits, such as a promoted standby. Guarantees
that nothing is decided on such a log, whether this service has seen more of it (also in Kafka, at
its start) or the relay has found more in Kafka.
Next: command_service/store.py
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from storelog.command_service.state import Head
from storelog.log_history import ALL, CURRENT, LogHistory, is_lost, number_of
from storelog.web.http import Response

if TYPE_CHECKING:
    from storelog.seen_marks import SeenMark

RECOVER = "run `storelog recover`, or let the server lead that has them."
BEHIND = f"PostgreSQL lacks events that Kafka has: {RECOVER}"
POSITION = "Storelog-Position"
_LOOK = f"""SELECT h.position, h.hash, {CURRENT} AS history, c.ahead_position AS ahead
    FROM log_head h LEFT JOIN relay_cursor c ON true"""
_HASH = "SELECT hash FROM events WHERE position = $1"


class LogBehind(asyncpg.PostgresError):  # type: ignore[misc]
    """The log lacks events that were there: the message says which, and what to do."""


class Given:
    """One per Command Service."""

    def __init__(self) -> None:
        self._position = 0
        self._hash: bytes | None = None
        self._history = ""
        self._seen: Sequence[SeenMark] = ()

    def expect(self, seen: "Sequence[SeenMark]") -> None:
        """Take note of what Kafka has seen; what is of no history of the log will not count."""
        self._seen = seen

    def gave(self, head: Head) -> None:
        """Take note of the log's head that a batch which has landed leaves."""
        if head.position >= self._position:
            self._position, self._hash = head.position, head.hash

    def gave_response(self, response: Response) -> None:
        """Take note of the position that another service gave in its response."""
        named = next((value for name, value in response.headers if name == POSITION), "0")
        if int(named) > self._position:
            # A response names no hash, so only the log's length can be compared with it.
            self._position, self._hash = int(named), None

    async def check(self, connection: asyncpg.Connection) -> None:
        """Look at the log behind a connection that is new. Raises LogBehind."""
        await self.check_head(connection)
        position, known = self._position, self._hash
        if known is not None and await connection.fetchval(_HASH, position) != known:
            raise _lost(position)

    async def check_head(self, connection: asyncpg.Connection) -> None:
        """Raise LogBehind where the log is shorter than what was given out, or than Kafka.

        Reads no event, since readiness must not wait for a transaction that has locked the log.
        """
        if self._seen:
            await self._take_seen(connection)
        # Not what is given out meanwhile, which may come after what is read now.
        expected = self._position
        row = await connection.fetchrow(_LOOK)
        if row["history"] != self._history:
            # `storelog recover` ended the previous history: its positions are no longer promised.
            if self._history:
                expected = self._position = 0
                self._hash = None
            self._history = row["history"]
        if row["ahead"] is not None:
            raise LogBehind(
                f"PostgreSQL's log ends at position {row['position']}, Kafka has other events up to"
                f" {row['ahead']}: {RECOVER}"
            )
        if row["position"] < expected:
            raise _lost(expected)
        if row["position"] > self._position:
            self._position, self._hash = row["position"], row["hash"]

    async def _take_seen(self, connection: asyncpg.Connection) -> None:
        known = [LogHistory(*row) for row in await connection.fetch(ALL)]
        seen, self._seen = self._seen, ()
        for mark in seen:
            number = None if mark.history is None else number_of(known, mark.history)
            if number is None or is_lost(known, number, mark.position):
                continue
            if mark.position > self._position:
                self._position, self._hash = mark.position, bytes.fromhex(mark.hash)
                self._history = known[-1].id


def _lost(position: int) -> LogBehind:
    return LogBehind(f"PostgreSQL's log lacks the event {position}, which it had before: {RECOVER}")
