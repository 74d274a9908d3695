"""The position of the read model, polled by one watcher for all reads that wait.

Guarantees that 1,000 waiting reads cost as much as one: the checkpoints are polled once for all of
them, and only while a read waits. `/live`, `Storelog-Wait-For` and `asOf` all use it.
Next: query_service/positions/reads.py
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

import structlog
from pymongo.errors import PyMongoError

from storelog.errors import Unavailable
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import View

POLL_SECONDS = 0.015
BUSY_SHARE = 2.0
# A poll takes at most a second, so waiting reads fail within three once MongoDB is away.
MAX_FAILURES = 3
MAX_WAITERS = 5_000
RELEASED_AT_ONCE = 25
Condition = Callable[[Place], bool]
T = TypeVar("T")
_log = structlog.get_logger()


def start_shared(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start work that many requests wait for, without the deadline of the one that starts it."""
    # PyMongo keeps the deadline in a context variable, which a new task would otherwise inherit.
    return asyncio.create_task(work, context=Context())


class Positions:
    """The watcher: `wait(N, seconds)` returns once the read model includes everything up to N."""

    def __init__(self, read: Callable[[], Awaitable[View]]) -> None:
        self._read = read
        self._waiters: dict[asyncio.Future[View], Condition] = {}
        self._watching: asyncio.Task[None] | None = None

    async def wait(self, position: int, seconds: float) -> View | None:
        """Return the first view that includes the position, or None when the time is over.

        To follow every change, wait for the last view's position plus one. Raises Unavailable when
        MongoDB is away or too many reads wait.
        """
        return await self.wait_until(lambda place: place.position >= position, seconds)

    async def wait_until(self, is_reached: Condition, seconds: float) -> View | None:
        """Return the first view whose place meets the condition, or None when the time is over.

        After None there may be such a view all the same, since a poll releases only some of the
        reads. Raises Unavailable like `wait`.
        """
        if len(self._waiters) >= MAX_WAITERS:
            raise Unavailable("Too many requests wait for a position.", slug="overloaded")
        waiter: asyncio.Future[View] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = is_reached
        if self._watching is None or self._watching.done():
            self._watching = start_shared(self._watch())
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError:
            return None
        finally:
            del self._waiters[waiter]

    async def close(self) -> None:
        """Stop watching; reads that still wait raise Unavailable."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self._fail(Unavailable("The service is stopping."))

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while self._waiters:
            began = loop.time()
            try:
                view = await self._read()
            except Unavailable as error:
                self._fail(error)
                return
            except PyMongoError as error:
                failures += 1
                _log.warning("positions cannot be read", error=str(error)[:300])
                if failures == MAX_FAILURES:
                    self._fail(Unavailable("MongoDB is away or too busy."))
                    return
                await asyncio.sleep(POLL_SECONDS)
                continue
            failures = 0
            self._release(view)
            # A busy server is polled less often: each poll delays the projector's writes.
            await asyncio.sleep(max(POLL_SECONDS, BUSY_SHARE * (loop.time() - began)))

    def _release(self, view: View) -> None:
        """Release some of the reads whose condition is met; all at once would overload MongoDB.

        The next poll queues behind their queries, so a slow server gets fewer of them at a time.
        """
        reached = [
            waiter
            for waiter, is_reached in self._waiters.items()
            if not waiter.done() and is_reached(view.place)
        ]
        for waiter in reached[:RELEASED_AT_ONCE]:
            waiter.set_result(view)

    def _fail(self, error: Unavailable) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
