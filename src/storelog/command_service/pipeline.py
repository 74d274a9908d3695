"""The command pipeline: while one batch is being written, the next is decided as commands arrive.

Guarantees that a command with a 2xx response is in the log, that a rejected one changed nothing,
that the same key has one effect, and that the queue and every wait have a limit. If a batch does
not land as it was decided, it and what was decided after it are decided again (landing_again.py).
Next: command_service/decider.py
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import structlog

from storelog.command_service import failures, measures
from storelog.command_service.decider import Decider
from storelog.command_service.division import land_in_parts, reject, settle
from storelog.command_service.failures import BatchFailed
from storelog.command_service.gathering import Gathering
from storelog.command_service.in_flight import InFlight
from storelog.command_service.kept_connection import KeptConnection
from storelog.command_service.landing import DecideAgain, Landing, Try
from storelog.command_service.landing_again import LandingAgain
from storelog.command_service.pulse import Pulse
from storelog.command_service.queue import CommandQueue
from storelog.command_service.sizes import Size, Sizes, said_size
from storelog.command_service.submission import Submission
from storelog.command_service.taken import Taken, Waiting, fail
from storelog.errors import OutcomeUnknown, Unavailable
from storelog.web.http import Response

# A command that cannot be done is rejected within a second; between these two, time to connect.
TAKEN_WITHIN_SECONDS = 0.5
DECIDED_WITHIN_SECONDS = 0.9
# The share of its deadline that a command may wait while PostgreSQL responds to others.
PATIENCE = 0.8
SWEEP_SECONDS = 0.1
_log = structlog.get_logger()


class Pipeline:
    """One per Command Service process; `submit` from any number of tasks."""

    def __init__(
        self, postgres_url: str, *, max_queued: int, deadline_seconds: float, keep_keys: timedelta
    ) -> None:
        self._deadline = deadline_seconds
        self._queue = CommandQueue(max_queued)
        self._order_sizes = Sizes(postgres_url)
        self._open = Taken()
        self._written: Taken | None = None
        self._writing: asyncio.Task[None] | None = None
        self._pulse = Pulse(postgres_url)
        self._gathering = Gathering()
        self._changed = asyncio.Event()
        self._in_flight = InFlight()
        self._reading = KeptConnection(postgres_url)
        self._decider = Decider(keep_keys)
        self.clock, self.given = self._decider.clock, self._decider.given
        self._landing = Landing(postgres_url, deadline_seconds, self.clock, self.given)
        self._landing_again = LandingAgain(self._landing, self._decider)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closing = False

    async def start(self) -> None:
        """Begin to take commands."""
        await self._landing_again.begin()
        measures.QUEUE_LENGTH.read = lambda: len(self._queue)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Respond to what was accepted, then end."""
        self._is_closing = True
        self._changed.set()
        await asyncio.wait(self._tasks[:1], timeout=self._deadline)
        tasks = self._tasks + ([self._writing] if self._writing else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._landing.connection.disconnect()
        self._reading.disconnect()
        self._pulse.stop()
        self._order_sizes.stop()

    def submit(self, submission: Submission) -> asyncio.Future[Response]:
        """Return the future of the command's response, set once its events are committed.

        Raises Unavailable if the queue is full. The future raises Unavailable (PostgreSQL is away),
        OutcomeUnknown (not learnt in time) or Conflict `idempotency-in-progress`.
        """
        size = said_size(submission.command)
        # Only these two cases wait, so that the usual command costs no task.
        if size is None or self._in_flight.is_running(submission.key):
            return asyncio.ensure_future(self._submit_later(submission))
        return self._enqueue(submission, size)

    async def _submit_later(self, submission: Submission) -> Response:
        size = await self._order_sizes.of(submission.command)
        await self._in_flight.ended(submission.key)
        return await self._enqueue(submission, size)

    def _enqueue(self, submission: Submission, size: Size) -> asyncio.Future[Response]:
        if self._is_closing:
            raise Unavailable("The service stops.", slug="overloaded")
        response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._queue.put(Waiting(submission, response, size, self._pulse.now(), time.monotonic()))
        self._changed.set()
        return self._in_flight.runs(submission.key, response)

    async def _run(self) -> None:
        while self._queue or self._open.waiting or self._writing or not self._is_closing:
            self._changed.clear()
            if self._may_take():
                await self._take()
                if self._queue and self._writing is None and self._open.waiting:
                    self._write()
            elif not self._open.waiting or self._writing is not None:
                await self._changed.wait()
            elif not await self._is_worth_waiting():
                self._write()

    async def _is_worth_waiting(self) -> bool:
        is_closed, commands = self._open.is_closed or self._is_closing, len(self._open.waiting)
        return not is_closed and await self._gathering.is_worth_waiting(commands, self._changed)

    def _may_take(self) -> bool:
        if self._next() is None or self._is_open_since(TAKEN_WITHIN_SECONDS):
            return False
        # While another service writes, or without a state, a decision ahead would be in vain.
        is_ahead_in_vain = self._landing.is_contended or not self._decider.has_state
        return self._writing is None or not is_ahead_in_vain

    def _is_open_since(self, seconds: float) -> bool:
        return bool(self._open.waiting) and self._open.since < self._pulse.now() - seconds

    def _next(self) -> Waiting | None:
        """Return the command that the open batch takes next; None if it has no room for one."""
        # Small commands that waited for one large command must not wait for the next one too.
        is_second = self._written is not None and self._written.is_large and self._queue.small_come
        next_one = self._queue.first(with_large=not (self._open.waiting or is_second))
        return next_one if next_one is not None and self._open.has_room_for(next_one) else None

    async def _take(self) -> None:
        """Take waiting commands into the open batch, and decide them unless others write too."""
        async with self._decider.lock:
            # A late command would leave no time for those that are taken with it.
            self._reject_late()
            first = self._next() if self._may_take() else None
            if first is None:
                return
            now = time.monotonic()
            measures.QUEUE_WAIT.observe(now - first.came_at)
            if not self._open.waiting:
                self._open.began = now
                self._open.since = self._pulse.now() if first.size.is_large else first.queued_at
            taken = self._pop(first)
            if self._landing.is_contended and self._open.batch is None:
                self._write()
                return
            try:
                await self._decide(taken)
            except TimeoutError:
                self._give_up(self._pulse.why_late())
            except Exception as error:  # noqa: BLE001  one bad command must not end the worker
                reason = failures.server_reason(error)
                if reason is not None:
                    self._give_up(Unavailable(reason))
                else:
                    self._decider.forget()
                    self._open.leave_undecided()

    def _pop(self, first: Waiting) -> list[Waiting]:
        """Take `first`, and others that the open batch has room for, into it."""
        taken: list[Waiting] = []
        # If nothing is being written, half of many stay, to be decided while the others are
        # written.
        waiting, left = first, 0 if self._writing else self._queue.half
        while waiting.size.is_large or self._queue.small > left:
            self._queue.pop(waiting)
            self._open.add(waiting)
            taken.append(waiting)
            if (following := self._next()) is None:
                break
            waiting = following
        return taken

    async def _decide(self, taken: list[Waiting]) -> None:
        submissions = [waiting.submission for waiting in taken]
        written = self._written.remembered() if self._written else {}
        left = self._open.since + DECIDED_WITHIN_SECONDS - self._pulse.now()
        with self._pulse.standing_still(self._open.is_large):
            async with asyncio.timeout(left):
                reader = await self._connect()
                batch = self._open.batch or await self._decider.open(reader)
                self._open.batch = batch
                await self._decider.read(reader, batch, submissions, written)
            self._open.responses += await self._decider.decide(batch, submissions)
        self._open.count_bytes()

    async def _connect(self) -> asyncpg.Connection:
        """Open both connections if needed, and return the one that reads.

        A new connection may lead to a server with another log, so what was read before is dropped.
        """
        _, writes_anew = await self._landing.connection.connect()
        reader, reads_anew = await self._reading.connect()
        if writes_anew or reads_anew:
            self._decider.forget()
            if self._open.batch is not None:
                raise ConnectionResetError("the batch was decided over another connection")
        return reader

    def _give_up(self, error: Unavailable) -> None:
        """Fail the open batch, of which nothing was sent, and drop the state in memory."""
        self._pulse.failed()
        self._decider.forget()
        self._reading.disconnect()
        failed, self._open = self._open.waiting, Taken()
        reject(failed, error)

    def _write(self) -> None:
        """Close the open batch and begin to write it."""
        taken, self._open = self._open, Taken()
        if taken.batch is not None:
            self._decider.go_on_from(taken.batch)
        self._written = taken
        self._gathering.begin(len(taken.waiting))
        taken.written_at = time.monotonic()
        self._writing = asyncio.create_task(self._land(taken))

    async def _land(self, taken: Taken) -> None:
        submissions, began_ns = [w.submission for w in taken.waiting], time.time_ns()
        first = Try(taken.batch.writes, taken.responses) if taken.batch else None
        try:
            responses = await self._landing.land(first)
            if isinstance(responses, DecideAgain):
                async with self._alone():
                    responses = await self._landing_again.land(submissions, responses)
        except BatchFailed:
            await self._divide(taken)
        except Unavailable as error:
            self._pulse.failed()
            reject(taken.waiting, error)
        except Exception:  # noqa: BLE001  must not end the worker
            _log.exception("a batch failed", **measures.who(submissions), is_always=True)
            measures.count_commands(submissions, None)
            measures.SERVER_ERRORS.of().add()
            self._landing.connection.disconnect()
            async with self._alone():
                self._decider.forget()
        else:
            self._pulse.heard()
            settle(taken.waiting, responses, began_ns)
        finally:
            fail(taken.waiting, OutcomeUnknown("The command failed; repeat it with its key."))
            if taken.is_large:
                pause = self._queue.pause_large(taken.began)
                asyncio.get_running_loop().call_later(pause, self._changed.set)
            self._gathering.end()
            self._written = self._writing = None
            self._changed.set()

    async def _divide(self, taken: Taken) -> None:
        """Land the commands of a failed batch in parts, so that only those at fault fail."""
        give_up_at = max(waiting.came_at for waiting in taken.waiting) + self._deadline
        async with self._alone():
            self._decider.forget()
            await land_in_parts(self._landing_again.land_part, taken.waiting, give_up_at)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Hold the decider; commands decided ahead go back to the front of the queue."""
        async with self._decider.lock:
            if self._open.waiting:
                self._queue.put_back(self._open.waiting)
                self._open = Taken()
                self._decider.forget()
            yield

    async def _sweep(self) -> None:
        """End waits that are over: 503 within a second if nothing was sent, else OutcomeUnknown."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._pulse.tick(self._written.written_at if self._written else None)
            self._reject_late()
            if self._is_open_since(DECIDED_WITHIN_SECONDS) and not self._decider.lock.locked():
                self._give_up(self._pulse.why_late())
            written = self._written.waiting if self._written else []
            late = [w for w in written if w.came_at < time.monotonic() - self._deadline]
            fail(late, OutcomeUnknown("The outcome is not known; repeat it with its key."))

    def _reject_late(self) -> None:
        """Reject commands that wait too long; a large one may wait while PostgreSQL responds."""
        too_old = time.monotonic() - PATIENCE * self._deadline
        late = self._pulse.now() - TAKEN_WITHIN_SECONDS
        large = late if self._pulse.is_failing else float("-inf")
        self._queue.expire(too_old, late, large, self._pulse.why_waiting())
