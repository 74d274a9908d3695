"""Keeps the state that commands are decided on, and the ids that they are given.

A command is decided on the state that the previous batch leaves, even while that batch is still
being written: the decision is committed only if the log's head is then where it was assumed to be
(store.append). After any error the state is dropped and read again.
Next: command_service/batch.py
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import asyncpg

from storelog.command_service import log_head, measures, state_reader
from storelog.command_service.batch import DecidedBatch
from storelog.command_service.given import Given
from storelog.command_service.remembered import CallerKey, Remembered
from storelog.command_service.state import Head, State
from storelog.command_service.submission import Submission
from storelog.shop.commands import LINE, Command, NewIds, entity_of, lines_said, needed_ids, own_id
from storelog.shop.events import ENTITIES, ORDER
from storelog.shop.kinds import Time
from storelog.web.clock import PostgresClock
from storelog.web.http import Response

MIN_IDS, MAX_IDS = 16, 4_096
# Deciding so many lines takes some 10 ms; more are decided in a thread, so that the event loop can
# serve other requests meanwhile.
LOOP_LINES = 1_000


class Decider:
    """One per pipeline, used by one task at a time: the one that holds `lock`."""

    def __init__(self, keep_keys: timedelta) -> None:
        self._keep_keys = keep_keys
        self.clock = PostgresClock()
        self.given = Given()
        self._state: State | None = None
        self._ids: dict[str, deque[int]] = {
            kind: deque() for kind in (*(each.name for each in ENTITIES), LINE)
        }
        self._next: NewIds = {kind: ids.popleft for kind, ids in self._ids.items()}
        self.lock = asyncio.Lock()

    @property
    def has_state(self) -> bool:
        """Whether the state is in memory, without a look at the log's head."""
        return self._state is not None

    def forget(self) -> None:
        """Drop the state, because it may differ from the log."""
        self._state = None

    def drop_ids(self) -> None:
        """Drop the reserved ids, because some of them are in their tables already."""
        for ids in self._ids.values():
            ids.clear()

    def go_on_at(self, head: Head) -> None:
        """Keep the state only if it is the one at `head`."""
        if self._state is None or self._state.head != head:
            self._state = State(head)

    def go_on_from(self, batch: DecidedBatch) -> None:
        """Move the state to what `batch`, which is about to be written, leaves."""
        if self._state is not None:
            self._state = self._state.after(batch.writes.head)

    async def open(self, connection: asyncpg.Connection) -> DecidedBatch:
        """Return an empty batch on the state in memory, else on the log's current head."""
        if self._state is None:
            self._state = State(await log_head.read_head(connection))
        return DecidedBatch(self._state, self._next, self._keep_keys)

    async def read(
        self,
        connection: asyncpg.Connection,
        batch: DecidedBatch,
        submissions: list[Submission],
        being_written: Mapping[CallerKey, Remembered],
    ) -> None:
        """Read what the commands need; `being_written`: responses of the previous batch.

        After any error, here or in `decide`, the batch is unusable and the state is dropped.
        """
        # Put back only at the end, so that an error cannot leave a state that is half read.
        state, self._state = self._state, None
        assert state is not None
        with measures.LOAD.timing():
            await self.clock.keep_current(connection)
            hashes = {
                s.key: s.idempotency.request_hash for s in submissions if s.key and s.idempotency
            }
            if hashes:
                batch.remembered.update(await state_reader.read_remembered(connection, hashes))
                # These are not in the table yet, so they must win over what was read from it.
                batch.remembered.update(being_written)
            await state_reader.load_for(connection, state, [s.command for s in submissions])
            await self._reserve_ids(connection, submissions)
        self._state = state

    async def decide(self, batch: DecidedBatch, submissions: list[Submission]) -> list[Response]:
        """Decide commands into `batch`; `read` must have read what they need."""
        state, self._state = self._state, None
        assert state is not None
        with measures.DECIDE.timing():
            now = Time.of(self.clock.now())
            if sum(_line_count(each.command, state) for each in submissions) > LOOP_LINES:
                responses = await _beside(lambda: [batch.decide(each, now) for each in submissions])
            else:
                responses = [batch.decide(submission, now) for submission in submissions]
        self._state = state
        return responses

    async def _reserve_ids(
        self, connection: asyncpg.Connection, submissions: Iterable[Submission]
    ) -> None:
        needed = dict.fromkeys(self._ids, 0)
        for submission in submissions:
            for kind, count in needed_ids(submission.command).items():
                needed[kind] += count
        for kind, count in needed.items():
            if count > len(self._ids[kind]):
                # A restart loses unused ids, so a quiet shop reserves few; a busy one reserves
                # many, so that it does not pay a round trip for each batch.
                more = max(MIN_IDS, count, min(8 * count, MAX_IDS))
                self._ids[kind].extend(await state_reader.new_ids(connection, kind, more))


def _line_count(command: Command, state: State) -> int:
    """Return how many lines a command involves: those it has, or those of the order it names."""
    own = lines_said(command)
    if own:
        return own
    if entity_of(command) is not ORDER:
        return 1
    order = state.known[ORDER.collection].get(own_id(command))
    return 1 if order is None else len(order.entity.order_items)


async def _beside(decide: Callable[[], list[Response]]) -> list[Response]:
    """Decide in a thread; return only after it has ended, even if cancelled: it has the state."""
    deciding = asyncio.ensure_future(asyncio.to_thread(decide))
    try:
        return await asyncio.shield(deciding)
    finally:
        if not deciding.done():
            await asyncio.wait([deciding])
