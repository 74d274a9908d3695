"""The command pipeline: while one batch is being written, the next is decided as commands arrive.

Guarantees that a command answered 2xx is in the log, that a refused one changed nothing, that the
same key has one effect, and that the queue and every wait have a limit. Nothing is answered before
the batch before it is written; if that one did not land as it was decided, what was decided after
it is taken back and decided again (landing.py).
Next: command_service/taken.py
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import structlog

from storelog.command_service import failures, measures, store
from storelog.command_service.decider import Decider
from storelog.command_service.division import land_in_parts, settle
from storelog.command_service.failures import BatchFailed
from storelog.command_service.in_flight import InFlight
from storelog.command_service.landing import Landing, Try
from storelog.command_service.pulse import Pulse
from storelog.command_service.submission import Submission
from storelog.command_service.taken import Taken, Waiting, fail
from storelog.errors import OutcomeUnknown, Unavailable
from storelog.web.http import Response

# Of the second in which what cannot be done is refused: how long a command waits to be taken, and
# how long until it is decided. In between is time for a new connection to PostgreSQL.
TAKEN_WITHIN_SECONDS = 0.5
DECIDED_WITHIN_SECONDS = 0.9
# Of a command's deadline, how much it may wait at most where PostgreSQL responds, but to others.
PATIENCE = 0.8
GATHER_SECONDS = 0.004
MIN_SPLIT_COMMANDS = 8
SWEEP_SECONDS = 0.1
_log = structlog.get_logger()


class Pipeline:
    """One per Command Service process; `submit` from any number of tasks."""

    def __init__(
        self, postgres_url: str, *, max_queued: int, deadline_seconds: float, keep_keys: timedelta
    ) -> None:
        self._url = postgres_url
        self._max_queued = max_queued
        self._deadline = deadline_seconds
        self._queue: deque[Waiting] = deque()
        self._open = Taken()
        self._written: Taken | None = None
        self._writing: asyncio.Task[None] | None = None
        self._writing_since: float | None = None
        self._pulse = Pulse(postgres_url)
        self._sizes: deque[int] = deque([0], maxlen=2)
        self._idle_since = 0.0
        self._changed = asyncio.Event()
        self._in_flight = InFlight()
        self._reader: asyncpg.Connection | None = None
        self._decider = Decider(keep_keys)
        self.clock = self._decider.clock
        self._landing = Landing(postgres_url, deadline_seconds, self._decider, self._alone)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closing = False

    async def start(self) -> None:
        """Begin to take commands."""
        await self._landing.begin()
        measures.QUEUE_LENGTH.read = lambda: len(self._queue)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Answer what was accepted, then end."""
        self._is_closing = True
        self._changed.set()
        await asyncio.wait(self._tasks[:1], timeout=self._deadline)
        tasks = [*self._tasks, *([self._writing] if self._writing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._landing.disconnect()
        self._stop_reading()
        self._pulse.stop()

    async def submit(self, submission: Submission) -> Response:
        """Return the command's answer, once what it says is committed.

        Raises Unavailable when the queue is full or PostgreSQL away, OutcomeUnknown when the
        outcome cannot be learnt in time, Conflict `idempotency-in-progress`.
        """
        if submission.key is None:
            return await self._enqueue(submission)
        return await self._in_flight.run(submission.key, lambda: self._enqueue(submission))

    def _enqueue(self, submission: Submission) -> asyncio.Future[Response]:
        if len(self._queue) >= self._max_queued or self._is_closing:
            raise Unavailable("Too many commands are waiting.", slug="overloaded")
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(submission, answer, self._pulse.now(), time.monotonic()))
        self._changed.set()
        return answer

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
        """Wait a moment for a batch that is small for this load; return whether more has come.

        Clients that wait for their answers come back together. Without this they would all end up
        in one batch, and nothing would be left to decide while it is written.
        """
        wanted = max(self._sizes) // 2
        if len(self._open.waiting) >= wanted or self._is_closing:
            return False
        left = self._idle_since + GATHER_SECONDS - time.monotonic()
        if left <= 0:
            return False
        try:
            async with asyncio.timeout(left):
                await self._changed.wait()
        except TimeoutError:
            return bool(self._queue)
        return True

    def _may_take(self) -> bool:
        if not self._queue or not self._open.has_room_for(self._queue[0]):
            return False
        if self._is_open_since(TAKEN_WITHIN_SECONDS):
            return False
        # On what another service leaves, or on a state that is not known, nothing is decided ahead.
        is_ahead_in_vain = self._landing.is_contended or not self._decider.has_state
        return self._writing is None or not is_ahead_in_vain

    def _is_open_since(self, seconds: float) -> bool:
        """Whether something in the open batch came longer ago than that."""
        waiting = self._open.waiting
        return bool(waiting) and waiting[0].queued_at < self._pulse.now() - seconds

    async def _take(self) -> None:
        """Take what waits into the open batch, and decide it, unless others write as well."""
        async with self._decider.lock:
            # One that is late would leave no time for those that are taken with it.
            self._refuse_late()
            if not self._may_take():
                return
            measures.QUEUE_WAIT.observe(time.monotonic() - self._queue[0].came_at)
            taken: list[Waiting] = []
            left = self._share()
            while len(self._queue) > left and self._open.has_room_for(self._queue[0]):
                taken.append(self._queue.popleft())
                self._open.add(taken[-1])
            if self._landing.is_contended and self._open.batch is None:
                self._write()
                return
            try:
                await self._decide(taken)
            except TimeoutError:
                self._give_up(Unavailable("PostgreSQL did not answer in time."))
            except Exception as error:  # noqa: BLE001  one bad command must not end the worker
                reason = failures.server_reason(error)
                if reason is not None:
                    self._give_up(Unavailable(reason))
                else:
                    self._decider.forget()
                    self._open.leave_undecided()

    def _share(self) -> int:
        """Return how many commands stay in the queue, so that the next batch is not left empty.

        With nothing being written, half of many are taken: the others are decided meanwhile.
        """
        waiting = len(self._queue)
        return 0 if self._writing or waiting < MIN_SPLIT_COMMANDS else waiting // 2

    async def _decide(self, taken: list[Waiting]) -> None:
        decided_by = self._open.waiting[0].queued_at + DECIDED_WITHIN_SECONDS
        async with asyncio.timeout(decided_by - self._pulse.now()):
            reader = await self._connect()
            batch = self._open.batch
            if batch is None:
                batch = self._open.batch = await self._decider.open(reader)
            submissions = [waiting.submission for waiting in taken]
            written = self._written.remembered() if self._written and self._writing else {}
            self._open.answers += await self._decider.decide(reader, batch, submissions, written)

    async def _connect(self) -> asyncpg.Connection:
        """Have both connections, and return the one that reads.

        Where either is new the server may be of another time: what was read of it is dropped.
        """
        is_new, reader = await self._landing.connect(), self._reader
        if reader is None or reader.is_closed():
            reader, is_new = await store.connect(self._url), True
            self._reader = reader
        if is_new:
            self._decider.forget()
            if self._open.batch is not None:
                raise ConnectionResetError("the batch was decided over another connection")
        return reader

    def _give_up(self, error: Unavailable) -> None:
        """Fail the open batch, of which nothing was sent, and whatever it was decided on."""
        self._decider.forget()
        self._stop_reading()
        failed, self._open = self._open.waiting, Taken()
        measures.count_commands([waiting.submission for waiting in failed], None)
        fail(failed, error)

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.terminate()
            self._reader = None

    def _write(self) -> None:
        """Close the open batch and begin to write it."""
        taken, self._open = self._open, Taken()
        if taken.batch is not None:
            self._decider.go_on_from(taken.batch)
        self._written = taken
        self._sizes.append(len(taken.waiting))
        self._writing_since = time.monotonic()
        self._writing = asyncio.create_task(self._land(taken))

    async def _land(self, taken: Taken) -> None:
        submissions, began_ns = [w.submission for w in taken.waiting], time.time_ns()
        first = Try(taken.batch.writes, taken.answers) if taken.batch else None
        try:
            answers = await self._landing.land(submissions, first)
        except BatchFailed:
            await self._divide(taken)
        except Unavailable as error:
            measures.count_commands(submissions, None)
            fail(taken.waiting, error)
        except Exception:  # noqa: BLE001  must not end the worker
            _log.exception("a batch of commands failed", **measures.who(submissions))
            measures.count_commands(submissions, None)
            measures.SERVER_ERRORS.of().add()
            self._landing.disconnect()
            fail(taken.waiting, OutcomeUnknown("The command failed; repeat it with its key."))
            async with self._alone():
                self._decider.forget()
        else:
            settle(taken.waiting, answers, began_ns)
        finally:
            self._writing, self._idle_since = None, time.monotonic()
            self._writing_since = None
            self._changed.set()

    async def _divide(self, taken: Taken) -> None:
        """Land the commands of a batch that failed in parts, so that only its culprits fail."""
        give_up_at = max(waiting.came_at for waiting in taken.waiting) + self._deadline

        async def land(submissions: list[Submission], seconds: float) -> list[Response]:
            return await self._landing.land_part(submissions, give_up_at, seconds)

        async with self._alone():
            self._decider.forget()
            await land_in_parts(land, taken.waiting, give_up_at)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Hold the decider; what was decided ahead goes back to the front of the queue."""
        async with self._decider.lock:
            if self._open.waiting:
                self._queue.extendleft(reversed(self._open.waiting))
                self._open = Taken()
                self._decider.forget()
            yield

    async def _sweep(self) -> None:
        """End waits that are over: 503 within a second of what was not sent, else not known."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._pulse.tick(self._writing_since)
            self._refuse_late()
            if self._is_open_since(DECIDED_WITHIN_SECONDS) and not self._decider.lock.locked():
                self._give_up(Unavailable("Overloaded.", slug="overloaded"))
            written = self._written.waiting if self._written and self._writing else []
            late = [w for w in written if w.came_at < time.monotonic() - self._deadline]
            fail(late, OutcomeUnknown("The outcome is not known; repeat it with its key."))

    def _refuse_late(self) -> None:
        late = self._pulse.now() - TAKEN_WITHIN_SECONDS
        too_old = time.monotonic() - PATIENCE * self._deadline
        while self._queue and (self._queue[0].queued_at < late or self._queue[0].came_at < too_old):
            fail([self._queue.popleft()], Unavailable("Overloaded.", slug="overloaded"))
