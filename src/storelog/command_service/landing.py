"""Lands a batch in the log: at once if the head has not moved, else decided again under its lock.

Guarantees one effect for each batch, whatever is lost: a try whose answer did not come is looked
for under the head's lock, every time, before another is made. A batch that ends in no answer is
OutcomeUnknown; one of which nothing was sent is Unavailable.
Next: command_service/store.py
"""

import asyncio
import time
from dataclasses import asdict
from datetime import datetime

import asyncpg
import structlog

from storelog import postgres
from storelog.command_service import failures, measures, store
from storelog.command_service.batch import Writes
from storelog.command_service.decider import Decider
from storelog.command_service.failures import BatchFailed
from storelog.command_service.submission import Submission
from storelog.envelope import cut_off
from storelog.errors import OutcomeUnknown, Unavailable
from storelog.sequences import raise_behind
from storelog.shop.value import value
from storelog.web.http import Response

RETRY_SECONDS = 0.1
# After another service has written, for so long: lock first, decide then.
CONTENDED_SECONDS = 0.5
BEGIN_SECONDS = 1.0
# How often new ids are taken because those that were given are in their tables already.
MAX_NEW_IDS = 3
_log = structlog.get_logger()


@value
class Try:
    """What a batch would write, and the answers that it would give."""

    writes: Writes
    answers: list[Response]


@value
class DecideAgain:
    """The commands of a batch are to be decided again, until `give_up_at` (monotonic).

    `in_doubt` are the tries that may have arrived; `was_decided`: on a state that is now in doubt.
    """

    give_up_at: float
    in_doubt: list[Try]
    was_decided: bool


class Landing:
    """The pipeline's writing connection, and what to do when a write does not just succeed."""

    def __init__(self, postgres_url: str, deadline_seconds: float, decider: Decider) -> None:
        self._url = postgres_url
        self._deadline = deadline_seconds
        self._decider = decider
        self._clock, self._given = decider.clock, decider.given
        self._connection: asyncpg.Connection | None = None
        self._contended_until = 0.0
        self._needs_new_ids = False

    @property
    def is_contended(self) -> bool:
        """Whether another service writes as well, so that deciding ahead is mostly in vain."""
        return time.monotonic() < self._contended_until

    async def begin(self) -> None:
        """Raise sequences that are behind their tables, where PostgreSQL is there already.

        Where it is not, the first id that is in its table already leads to the same.
        """
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await self._renew_ids(await self._connected())
        except postgres.FAILURES as error:
            _log.warning("the sequences could not be checked", error=repr(error))
            self.disconnect()

    async def land(self, first: Try | None) -> list[Response] | DecideAgain:
        """Write `first` as it was decided ahead; return its answers, or what `land_again` takes.

        Raises BatchFailed, and then nothing was written.
        """
        give_up_at = time.monotonic() + self._deadline
        in_doubt: list[Try] = []
        connection = self._connection
        # What was decided over a connection that has ended since may be of another database.
        if first is not None and connection is not None and not connection.is_closed():
            in_doubt.append(first)
            try:
                await self._append_first(connection, in_doubt)
                self._given.gave(first.writes.head)
                return first.answers
            except store.Conflicted:
                self._contended_until = time.monotonic() + CONTENDED_SECONDS
            except store.IdsTaken:
                self._needs_new_ids = True
            except Exception as error:
                if not failures.is_away(error, connection):
                    self._freshen(error)
                    raise BatchFailed(error) from error
                self.disconnect()
        return DecideAgain(give_up_at, in_doubt, was_decided=first is not None)

    async def land_again(self, submissions: list[Submission], again: DecideAgain) -> list[Response]:
        """Decide and write commands that did not land as they were decided; return their answers.

        The caller holds the decider's lock, and has taken back whatever was decided ahead.
        Raises Unavailable or BatchFailed, and then nothing was written; OutcomeUnknown.
        """
        if again.was_decided:
            self._decider.forget()
        return await self._land_again(submissions, again.in_doubt, again.give_up_at)

    async def land_part(
        self, submissions: list[Submission], give_up_at: float, seconds: float
    ) -> list[Response]:
        """Decide and write part of a batch that failed. A statement may take `seconds`.

        The caller holds what `land_again` says. Raises what that does.
        """
        return await self._land_again(submissions, [], give_up_at, seconds)

    async def _land_again(
        self,
        submissions: list[Submission],
        in_doubt: list[Try],
        give_up_at: float,
        seconds: float | None = None,
    ) -> list[Response]:
        new_ids = 0
        while time.monotonic() < give_up_at:
            try:
                return await self._decide_and_append(submissions, in_doubt, seconds)
            except store.Conflicted:
                self._decider.forget()
            except store.IdsTaken as error:
                self._decider.forget()
                self._needs_new_ids, new_ids = True, new_ids + 1
                if new_ids > MAX_NEW_IDS:
                    raise BatchFailed(error) from error
            except Exception as error:
                self._decider.forget()
                if not failures.is_away(error, self._connection):
                    self._freshen(error)
                    if not in_doubt:
                        raise BatchFailed(error) from error
                    # An earlier try, which was lost on its way, may still arrive.
                    raise OutcomeUnknown("The command failed; repeat it with its key.") from error
                self.disconnect()
                if not in_doubt:
                    reason = failures.server_reason(error) or "PostgreSQL is away."
                    raise Unavailable(reason) from error
                await asyncio.sleep(RETRY_SECONDS)
        if in_doubt:
            raise OutcomeUnknown("PostgreSQL went away; repeat the command with its key.")
        raise Unavailable("PostgreSQL is too busy.", slug="overloaded")

    async def _decide_and_append(
        self, submissions: list[Submission], in_doubt: list[Try], seconds: float | None
    ) -> list[Response]:
        """Try once, under the head's lock; a lost try that has landed gives the responses."""
        if await self.connect():
            # What was read over the connection before may not be so any more.
            self._decider.forget()
        connection = await self._connected()
        if self._needs_new_ids:
            await self._renew_ids(connection)
        before = len(in_doubt)
        try:
            async with store.head_locked(connection) as held:
                # Under the lock, and every try: a message that was lost on its way can still
                # arrive, but not between this look and the next try.
                for lost in in_doubt:
                    if await store.has_landed(connection, lost.writes):
                        self._decider.forget()
                        self._given.gave(lost.writes.head)
                        return lost.answers
                if seconds is not None:
                    await store.limit_statements(connection, seconds)
                self._decider.go_on_at(held.head)
                batch = await self._decider.open(connection)
                await self._decider.read(connection, batch, submissions, {})
                answers = await self._decider.decide(batch, submissions)
                in_doubt.append(Try(batch.writes, answers))
                await self._append(connection, in_doubt, held)
        except Exception as error:
            # What PostgreSQL refuses at the commit (a deferred constraint) is in no doubt either.
            if not failures.is_away(error, connection):
                del in_doubt[before:]
            raise
        self._decider.go_on_from(batch)
        self._given.gave(batch.writes.head)
        return answers

    async def _renew_ids(self, connection: asyncpg.Connection) -> None:
        """Raise the sequences that are behind their tables, and drop the ids of before."""
        behind = await raise_behind(connection)
        for each in behind:
            _log.warning("a sequence was behind its table, and was raised", **asdict(each))
        self._decider.drop_ids()
        self._needs_new_ids = False

    async def _append_first(self, connection: asyncpg.Connection, in_doubt: list[Try]) -> None:
        """Write what was decided ahead; if it comes too late, with the time under the head's lock.

        So it is never too late twice, however large it is and however long others hold the head.
        """
        first = in_doubt[-1]
        try:
            await self._append(connection, in_doubt)
        except store.StampRefused:
            async with store.head_locked(connection) as held:
                if held.head != first.writes.base:
                    raise store.Conflicted from None
                in_doubt.append(first)
                await self._append(connection, in_doubt, held, cut_off(held.since))

    async def _append(
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

    def _freshen(self, error: Exception) -> None:
        """Drop the connection if what the driver keeps for it may be the cause of the error."""
        if failures.is_stale(error):
            self.disconnect()

    async def connect(self) -> bool:
        """Have a connection; return whether it is a new one. Raises what store.connect does."""
        before = self._connection
        return await self._connected() is not before

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            connection = await store.connect(self._url)
            try:
                await self._given.check(connection)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    def disconnect(self) -> None:
        """Drop the connection; the server ends what it was doing for it."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
