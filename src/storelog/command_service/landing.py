"""Lands a batch in the log as it was decided ahead, if the log's head has not moved since.

What did not land so is given back, to be decided again under the head's lock
(landing_again.py), with the tries of which it is not known whether they arrived.
Next: command_service/store.py
"""

import time
from datetime import datetime

import asyncpg

from storelog.command_service import failures, measures, store
from storelog.command_service.batch import Writes
from storelog.command_service.failures import BatchFailed
from storelog.command_service.given import Given
from storelog.command_service.kept_connection import KeptConnection
from storelog.envelope import cut_off
from storelog.shop.value import value
from storelog.web.clock import PostgresClock
from storelog.web.http import Response

# After another service has written, for so long: lock first, decide then.
CONTENDED_SECONDS = 0.5


@value
class Try:
    """What a batch would write, and the answers that it would give."""

    writes: Writes
    answers: list[Response]


@value
class DecideAgain:
    """The commands of a batch are to be decided again, until `give_up_at` (monotonic).

    `in_doubt` are the tries that may have arrived; `was_decided`: on a state that is now in doubt;
    `needs_new_ids`: an id that it was given is in its table already.
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
        """Write `first` as it was decided ahead; return its answers, or what is to be done.

        Raises BatchFailed, and then nothing was written.
        """
        give_up_at = time.monotonic() + self._deadline
        in_doubt: list[Try] = []
        needs_new_ids = False
        # What was decided over a connection that has ended since may be of another database.
        connection = self.connection.current
        if first is not None and connection is not None:
            in_doubt.append(first)
            try:
                await self._append_first(connection, in_doubt)
                self._given.gave(first.writes.head)
                return first.answers
            except store.Conflicted:
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
        """Write what was decided ahead; if it comes too late, with the time under the head's lock.

        So it is never too late twice, however large it is and however long others hold the head.
        """
        first = in_doubt[-1]
        try:
            await self.append(connection, in_doubt)
        except store.StampRefused:
            async with store.head_locked(connection) as held:
                if held.head != first.writes.base:
                    raise store.Conflicted from None
                in_doubt.append(first)
                await self.append(connection, in_doubt, held, cut_off(held.since))

    async def append(
        self,
        connection: asyncpg.Connection,
        in_doubt: list[Try],
        held: store.HeldHead | None = None,
        at: datetime | None = None,
    ) -> None:
        """Stamp and write the newest try; one that was refused, or failed, is in no doubt.

        `held`: the head, where this connection holds it; `at`: the time of the batch, else now.
        """
        writes, began = in_doubt[-1].writes, time.monotonic()
        at = at or max(self._clock.stamp(), writes.occurred_at)
        writes.stamp(max(at, held.settled_at) if held else at)
        try:
            with measures.APPEND.timing():
                await store.append(connection, writes, held)
        except store.StampRefused as refused:
            measures.STAMPS_REFUSED.add()
            self._clock.take(refused.clock, began, time.monotonic(), is_alone=True)
            in_doubt.pop()
            raise
        except store.Conflicted:
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
        """Drop the connection if what the driver keeps for it may be the cause of the error."""
        if failures.is_stale(error):
            self.connection.disconnect()
