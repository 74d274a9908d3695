"""The command pipeline: while one batch is in flight, arriving commands collect for the next.

Guarantees that a command answered 2xx is in the log, that a refused one changed nothing, that the
same key has one effect, and that the queue and every wait have a limit. A batch is decided in
memory and written by one call that lands only if the log's head has not moved (store.append);
when it has, the state is read again, the next try under the head's lock.
Next: command_service/store.py
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import structlog

from storelog.command_service import measures, state_reader, store
from storelog.command_service.batch import Batch, Writes
from storelog.command_service.decisions import NewIds
from storelog.command_service.state import State
from storelog.command_service.submission import Command, Submission
from storelog.domain.customer import CreateCustomer
from storelog.domain.order import PlaceOrder
from storelog.domain.product import CreateProduct
from storelog.domain.value import value
from storelog.envelope import utc_now
from storelog.errors import Conflict, OutcomeUnknown, Unavailable
from storelog.web.http import Response

MAX_BATCH_COMMANDS = 256
MAX_BATCH_LINES = 4_000
QUEUE_DEADLINE_SECONDS = 0.8
KEY_WAIT_SECONDS = 10.0
RETRY_SECONDS = 0.1
_log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Waiting:
    submission: Submission
    answer: asyncio.Future[Response]
    queued_at: float


@value
class _Try:
    writes: Writes
    answers: list[Response]


class Pipeline:
    """One per Command Service process; `submit` from any number of tasks."""

    def __init__(
        self, postgres_url: str, *, max_queued: int, deadline_seconds: float, keep_keys: timedelta
    ) -> None:
        self._url = postgres_url
        self._max_queued = max_queued
        self._deadline = deadline_seconds
        self._keep_keys = keep_keys
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._in_flight: dict[tuple[str, str], asyncio.Future[Response]] = {}
        self._connection: asyncpg.Connection | None = None
        self._state: State | None = None
        self._ids: dict[str, deque[int]] = {
            k: deque() for k in ("customer", "product", "order", "item")
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closing = False

    async def start(self) -> None:
        """Begin to take commands."""
        measures.QUEUE_LENGTH.read = lambda: len(self._queue)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._expire())]

    async def stop(self) -> None:
        """Answer what was accepted, then end."""
        self._is_closing = True
        self._arrived.set()
        worker, expiry = self._tasks
        await asyncio.wait([worker], timeout=self._deadline)
        for task in (worker, expiry):
            task.cancel()
        await asyncio.gather(worker, expiry, return_exceptions=True)
        await self._disconnect()

    async def submit(self, submission: Submission) -> Response:
        """Return the command's answer, once what it says is committed.

        Raises Unavailable when the queue is full or PostgreSQL away, OutcomeUnknown when the
        outcome cannot be learnt in time, Conflict `idempotency-in-progress`.
        """
        key = submission.key
        if key is None:
            return await self._enqueue(submission)
        deadline = time.monotonic() + KEY_WAIT_SECONDS
        while (running := self._in_flight.get(key)) is not None:
            await self._wait_for_first(running, deadline)
        answer = asyncio.get_running_loop().create_future()
        self._in_flight[key] = answer
        try:
            return await self._enqueue(submission, answer)
        finally:
            del self._in_flight[key]

    async def _wait_for_first(self, running: asyncio.Future[Response], deadline: float) -> None:
        await asyncio.wait([running], timeout=max(0.0, deadline - time.monotonic()))
        if not running.done():
            detail = "The first request with this key is still running."
            raise Conflict("idempotency-in-progress", detail, headers=[("Retry-After", "1")])
        await asyncio.sleep(0)

    async def _enqueue(
        self, submission: Submission, answer: asyncio.Future[Response] | None = None
    ) -> Response:
        if len(self._queue) >= self._max_queued or self._is_closing:
            raise Unavailable("Too many commands are waiting.", slug="overloaded")
        answer = answer or asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(submission, answer, time.monotonic()))
        self._arrived.set()
        try:
            return await asyncio.wait_for(asyncio.shield(answer), self._deadline)
        except TimeoutError:
            answer.add_done_callback(_look_at)
            detail = "The command's outcome cannot be learnt; repeat it with its Idempotency-Key."
            raise OutcomeUnknown(detail) from None

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            oldest_allowed = time.monotonic() - QUEUE_DEADLINE_SECONDS
            while self._queue and self._queue[0].queued_at < oldest_allowed:
                _fail([self._queue.popleft()], Unavailable("Overloaded.", slug="overloaded"))

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                await self._reach_postgresql()
                if self._queue:
                    await self._process(self._take())
            if self._is_closing:
                return

    async def _reach_postgresql(self) -> None:
        """Connect while commands still wait, so that none waits longer than its deadline for it."""
        try:
            await self._connected()
        except store.AWAY:
            _fail(self._queue, Unavailable("PostgreSQL is away."))
            self._queue.clear()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        lines = 0
        while self._queue and len(batch) < MAX_BATCH_COMMANDS:
            lines += _size(self._queue[0].submission.command)
            if batch and lines > MAX_BATCH_LINES:
                break
            batch.append(self._queue.popleft())
        measures.QUEUE_WAIT.observe(time.monotonic() - batch[0].queued_at)
        return batch

    async def _process(self, batch: list[_Waiting]) -> None:
        submissions, began_ns = [waiting.submission for waiting in batch], time.time_ns()
        try:
            answers = await self._commit(submissions)
        except Unavailable as error:
            measures.count_commands(submissions, None)
            _fail(batch, error)
            return
        except Exception:  # noqa: BLE001  one bad batch must not end the worker; each is answered
            _log.exception("a batch of commands failed", **measures.who(submissions))
            measures.count_commands(submissions, None)
            measures.SERVER_ERRORS.of().add()
            await self._disconnect()
            _fail(batch, OutcomeUnknown("The command failed; repeat it with its Idempotency-Key."))
            return
        measures.count_commands(submissions, answers, began_ns)
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)

    async def _commit(self, submissions: list[Submission]) -> list[Response]:
        """Commit one batch: at once if the head has not moved, else again under its lock."""
        give_up_at = time.monotonic() + self._deadline
        in_doubt: list[_Try] = []
        is_contended = False
        while time.monotonic() < give_up_at:
            try:
                connection = await self._connected()
                async with store.head_locked(connection) if is_contended else nullcontext():
                    if is_contended:
                        self._state = None
                    # Under the lock, and every try: a message that was lost on its way can still
                    # arrive, but not between this look and the next try.
                    for lost in in_doubt:
                        if await store.has_landed(connection, lost.writes):
                            return lost.answers
                    in_doubt.append(await self._decide(connection, submissions))
                    await self._append(connection, in_doubt)
                self._settle(in_doubt[-1].writes)
                return in_doubt[-1].answers
            except store.Conflicted:
                measures.CONFLICTS.add()
                self._state, is_contended = None, True
            except store.AWAY as error:
                await self._disconnect()
                if not in_doubt:
                    raise Unavailable("PostgreSQL is away.") from error
                is_contended = True
                await asyncio.sleep(RETRY_SECONDS)
        if in_doubt:
            raise OutcomeUnknown("PostgreSQL went away; repeat the command with its key.")
        raise Unavailable("PostgreSQL is too busy.", slug="overloaded")

    async def _append(self, connection: asyncpg.Connection, in_doubt: list[_Try]) -> None:
        """Write the newest try; one that met a moved head wrote nothing, and is in no doubt."""
        try:
            with measures.APPEND.timing():
                await store.append(connection, in_doubt[-1].writes)
        except store.Conflicted:
            in_doubt.pop()
            raise

    def _settle(self, writes: Writes) -> None:
        measures.BATCH_EVENTS.observe(len(writes.events))
        if self._state is not None:
            self._state.settle(writes.head)

    async def _decide(self, connection: asyncpg.Connection, submissions: list[Submission]) -> _Try:
        with measures.LOAD.timing():
            if self._state is None:
                self._state = State(await store.read_head(connection))
            state, self._state = self._state, None
            keys = [s.key for s in submissions if s.key is not None]
            remembered = await state_reader.read_answers(connection, keys) if keys else {}
            await state_reader.load_for(connection, state, [s.command for s in submissions])
            ids = await self._reserve_ids(connection, submissions)
        with measures.DECIDE.timing():
            batch = Batch(state, ids, remembered, utc_now(), self._keep_keys)
            answers = [batch.answer(submission) for submission in submissions]
        self._state = state
        return _Try(batch.writes, answers)

    async def _reserve_ids(
        self, connection: asyncpg.Connection, submissions: Iterable[Submission]
    ) -> NewIds:
        needed = dict.fromkeys(self._ids, 0)
        for submission in submissions:
            match submission.command:
                case PlaceOrder(lines=lines):
                    needed["order"] += 1
                    needed["item"] += len(lines)
                case CreateCustomer():
                    needed["customer"] += 1
                case CreateProduct():
                    needed["product"] += 1
        for kind, count in needed.items():
            if count > len(self._ids[kind]):
                self._ids[kind].extend(
                    await state_reader.new_ids(connection, kind, max(2 * count, 16))
                )
        return {kind: ids.popleft for kind, ids in self._ids.items()}

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._state = None
            self._connection = await store.connect(self._url)
        return self._connection

    async def _disconnect(self) -> None:
        self._state = None
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _fail(batch: Iterable[_Waiting], error: Unavailable) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


def _look_at(answer: asyncio.Future[Response]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


def _size(command: Command) -> int:
    return len(command.lines) if isinstance(command, PlaceOrder) else 1
