"""Lands a batch in the log as it was decided ahead, if the log's head has not moved since.

A batch that does not land is given back, to be decided again under the head's lock
(landing_again.py), with the tries that may or may not have arrived.
Next: command_service/store.py
"""

import time
from datetime import datetime

import asyncpg

from storelog.command_service import failures, log_head, measures, store
from storelog.command_service.batch import Writes
from storelog.command_service.failures import BatchFailed
from storelog.command_service.given import Given
from storelog.command_service.kept_connection import KeptConnection
from storelog.envelope import cut_off
from storelog.shop.value import value
from storelog.web.clock import PostgresClock
from storelog.web.http import Response

# How long to lock first and decide then, after another service has written: deciding ahead would
# mostly be in vain.
CONTENDED_SECONDS = 0.5


@value
class Try:
    """What a batch would write, and the responses that it would give."""

    writes: Writes
    responses: list[Response]


@value
class DecideAgain:
    """The commands of a batch must be decided again, until `give_up_at` (monotonic).

    `in_doubt`: the tries that may have arrived. `was_decided`: the batch was decided on a state
    that is now in doubt. `needs_new_ids`: an id that it was given is already in its table.
    """

    give_up_at: float
    in_doubt: list[Try]
    was_decided: bool
    needs_new_ids: bool


class Landing:
    """The pipeline's writing connection, and the first try of each batch over it."""

    def __init__(
        self, postgres_url: str, deadline_seconds: float, clock: PostgresClock, given: Given
    ) -> None:
        self._deadline = deadline_seconds
        self._clock, self._given = clock, given
        self.connection = KeptConnection(postgres_url, given.check)
        self._contended_until = 0.0

    @property
    def is_contended(self) -> bool:
        """Whether another service writes as well, so that deciding ahead is mostly in vain."""
        return time.monotonic() < self._contended_until

    async def land(self, first: Try | None) -> list[Response] | DecideAgain:
        """Write `first` as it was decided ahead; return its responses, or what to decide again.

        Raises BatchFailed, and then nothing was written.
        """
        give_up_at = time.monotonic() + self._deadline
        in_doubt: list[Try] = []
        needs_new_ids = False
        # A connection that has ended since may have led to another server: its batch may be wrong.
        connection = self.connection.current
        if first is not None and connection is not None:
            in_doubt.append(first)
            try:
                await self._append_first(connection, in_doubt)
                self._given.gave(first.writes.head)
                return first.responses
            except log_head.Conflicted:
                self._contended_until = time.monotonic() + CONTENDED_SECONDS
            except store.IdsTaken:
                needs_new_ids = True
            except Exception as error:
                if not failures.is_away(error, connection):
                    self.freshen(error)
                    raise BatchFailed(error) from error
                self.connection.disconnect()
        return DecideAgain(give_up_at, in_doubt, first is not None, needs_new_ids)

    async def _append_first(self, connection: asyncpg.Connection, in_doubt: list[Try]) -> None:
        """Write what was decided ahead; if its time is rejected, take one under the head's lock.

        With the lock the time cannot be rejected again, however large the batch is.
        """
        first = in_doubt[-1]
        try:
            await self.append(connection, in_doubt)
        except store.StampRejected:
            async with log_head.head_locked(connection) as held:
                if held.head != first.writes.base:
                    raise log_head.Conflicted from None
                in_doubt.append(first)
                await self.append(connection, in_doubt, held, cut_off(held.since))

    async def append(
        self,
        connection: asyncpg.Connection,
        in_doubt: list[Try],
        held: log_head.HeldHead | None = None,
        at: datetime | None = None,
    ) -> None:
        """Stamp and write the newest try; a try that was rejected, or failed, is not in doubt.

        `held`: the head, if this connection holds its lock; `at`: the time of the batch, else now.
        """
        writes, began = in_doubt[-1].writes, time.monotonic()
        at = at or max(self._clock.stamp(), writes.occurred_at)
        writes.stamp(max(at, held.settled_at) if held else at)
        try:
            with measures.APPEND.timing():
                await store.append(connection, writes, held)
        except store.StampRejected as rejected:
            measures.STAMPS_REFUSED.add()
            self._clock.take(rejected.clock, began, time.monotonic(), is_alone=True)
            in_doubt.pop()
            raise
        except log_head.Conflicted:
            measures.CONFLICTS.add()
            in_doubt.pop()
            raise
        except Exception as error:
            if not failures.is_away(error, connection):
                in_doubt.pop()
            raise
        measures.BATCH_EVENTS.observe(len(writes.events))
        self._clock.seconds_ahead(writes.head.recorded_at)

    def freshen(self, error: Exception) -> None:
        """Drop the connection if the driver's cache for it may be the cause of the error."""
        if failures.is_stale(error):
            self.connection.disconnect()
