"""The newest position that this service gave out, and whether the log still has it.

A connection that is opened anew may lead to a server that lacks commits: a standby that was
promoted. Guarantees that nothing is decided on such a log, neither where this service has seen
more of it nor where the relay has found more in Kafka.
Next: command_service/store.py
"""

import asyncpg

from storelog.command_service.state import Head
from storelog.log_history import CURRENT
from storelog.web.http import Response

RECOVER = "run `storelog recover`, or let the server lead that has them."
BEHIND = f"PostgreSQL lacks events that Kafka has: {RECOVER}"
POSITION = "Storelog-Position"
_LOOK = f"""SELECT h.position, {CURRENT} AS history, c.ahead_position AS ahead,
    (SELECT hash FROM events WHERE position = $1) AS hash
    FROM log_head h LEFT JOIN relay_cursor c ON true"""


class LogBehind(asyncpg.PostgresError):  # type: ignore[misc]
    """The log lacks events that were there: the message says which, and what to do."""


class Given:
    """One per Command Service."""

    def __init__(self) -> None:
        self._position = 0
        self._hash: bytes | None = None
        self._history = ""

    def gave(self, head: Head) -> None:
        """Take note of the log's head that a batch which has landed leaves."""
        if head.position >= self._position:
            self._position, self._hash = head.position, head.hash

    def gave_response(self, response: Response) -> None:
        """Take note of the position that another service gave in its response."""
        named = next((value for name, value in response.headers if name == POSITION), "0")
        if int(named) > self._position:
            self._position, self._hash = int(named), None

    async def check(self, connection: asyncpg.Connection) -> None:
        """Raise LogBehind where the log lacks what was given out, or what Kafka has."""
        row = await connection.fetchrow(_LOOK, self._position)
        if row["history"] != self._history:
            # Of the history before, nothing is expected any more.
            if self._history:
                self._position, self._hash = 0, None
            self._history = row["history"]
        if row["ahead"] is not None:
            raise LogBehind(
                f"PostgreSQL's log ends at position {row['position']}, Kafka has other events up to"
                f" {row['ahead']}: {RECOVER}"
            )
        is_other = self._hash is not None and row["hash"] != self._hash
        if self._position and (row["position"] < self._position or is_other):
            raise LogBehind(
                f"PostgreSQL's log ends at position {row['position']} and lacks the event"
                f" {self._position} that this service has written: {RECOVER}"
            )
