"""Lands commands whose batch did not land ahead: decides them again, under the head's lock.

Guarantees one effect for each batch, whatever is lost: before every new try, a try whose reply was
lost is looked for in the log, under the head's lock. A batch whose replies are all lost is
OutcomeUnknown; a batch of which nothing was sent is Unavailable.
Next: command_service/store.py
"""

import asyncio
import time
from dataclasses import asdict

import asyncpg
import structlog

from storelog import postgres
from storelog.command_service import failures, log_head, store
from storelog.command_service.decider import Decider
from storelog.command_service.failures import BatchFailed
from storelog.command_service.landing import DecideAgain, Landing, Try
from storelog.command_service.submission import Submission
from storelog.errors import OutcomeUnknown, Unavailable
from storelog.sequences import raise_behind
from storelog.web.http import Response

RETRY_SECONDS = 0.1
BEGIN_SECONDS = 1.0
# How often new ids are taken because the given ones are already in their tables.
MAX_NEW_IDS = 3
_log = structlog.get_logger()


class LandingAgain:
    """Decides and lands over the landing's connection.

    The caller holds the decider's lock, and has taken back whatever was decided ahead.
    """

    def __init__(self, landing: Landing, decider: Decider) -> None:
        self._landing = landing
        self._connection = landing.connection
        self._decider = decider
        self._given = decider.given
        self._needs_new_ids = False

    async def begin(self) -> None:
        """Raise sequences that are behind their tables, if PostgreSQL responds already.

        If it does not, the first id that is already in its table leads to the same.
        """
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                connection, _ = await self._connection.connect()
                await self._renew_ids(connection)
        except postgres.FAILURES as error:
            _log.warning("the sequences could not be checked", error=repr(error))
            self._connection.disconnect()

    async def land(self, submissions: list[Submission], again: DecideAgain) -> list[Response]:
        """Decide and write commands that did not land ahead; return their responses.

        Raises Unavailable or BatchFailed, and then nothing was written; OutcomeUnknown.
        """
        self._needs_new_ids |= again.needs_new_ids
        if again.was_decided:
            self._decider.forget()
        return await self._land(submissions, again.in_doubt, again.give_up_at)

    async def land_part(
        self, submissions: list[Submission], give_up_at: float, seconds: float
    ) -> list[Response]:
        """Decide and write part of a batch that failed. A statement may take `seconds`.

        Raises what `land` does.
        """
        return await self._land(submissions, [], give_up_at, seconds)

    async def _land(
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
            except log_head.Conflicted:
                self._decider.forget()
            except store.IdsTaken as error:
                self._decider.forget()
                self._needs_new_ids, new_ids = True, new_ids + 1
                if new_ids > MAX_NEW_IDS:
                    raise BatchFailed(error) from error
            except Exception as error:
                self._decider.forget()
                if not failures.is_away(error, self._connection.current):
                    self._landing.freshen(error)
                    if not in_doubt:
                        raise BatchFailed(error) from error
                    # An earlier try that was lost on its way may still arrive.
                    raise OutcomeUnknown("The command failed; repeat it with its key.") from error
                self._connection.disconnect()
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
        connection, is_new = await self._connection.connect()
        if is_new:
            # The new connection may lead to another server, where what was read may not be true.
            self._decider.forget()
        if self._needs_new_ids:
            await self._renew_ids(connection)
        before = len(in_doubt)
        try:
            async with log_head.head_locked(connection) as held:
                # Under the lock and before every try, since a lost message may still arrive, but
                # not between this look and the next try.
                for lost in in_doubt:
                    if await store.has_landed(connection, lost.writes):
                        self._decider.forget()
                        self._given.gave(lost.writes.head)
                        return lost.responses
                if seconds is not None:
                    await store.limit_statements(connection, seconds)
                self._decider.go_on_at(held.head)
                batch = await self._decider.open(connection)
                await self._decider.read(connection, batch, submissions, {})
                responses = await self._decider.decide(batch, submissions)
                in_doubt.append(Try(batch.writes, responses))
                await self._landing.append(connection, in_doubt, held)
        except Exception as error:
            # A try that PostgreSQL rejects at its commit (a deferred constraint) is not in doubt
            # either.
            if not failures.is_away(error, connection):
                del in_doubt[before:]
            raise
        self._decider.go_on_from(batch)
        self._given.gave(batch.writes.head)
        return responses

    async def _renew_ids(self, connection: asyncpg.Connection) -> None:
        """Raise the sequences that are behind their tables, and drop the reserved ids."""
        behind = await raise_behind(connection)
        for each in behind:
            _log.warning("a sequence was behind its table, and was raised", **asdict(each))
        self._decider.drop_ids()
        self._needs_new_ids = False
