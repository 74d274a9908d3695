"""Wakes all live readers when the read model has moved: one watch for any number of readers.

The more readers there are, the less often they are woken, so that a thousand of them take a bounded
share of the process. They lose nothing, since each continues from its own position.
Next: query_service/live/changes.py
"""

import asyncio

import structlog

from storelog.errors import Unavailable
from storelog.query_service.positions.reads import Reads
from storelog.query_service.positions.view import View
from storelog.query_service.positions.watch import start_shared

PACE_SECONDS_PER_READER = 0.0002
WATCH_SECONDS = 5.0
FRESH_SECONDS = 5.0
AWAY_SECONDS = 1.0
TOLD_AT_ONCE = 50
_log = structlog.get_logger()


class Tail:
    """The newest view, for a stream that waits for one beyond a position."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._view: View | None = None
        self._seen_at = 0.0
        self._waiting: set[asyncio.Future[None]] = set()
        self._watching: asyncio.Task[None] | None = None

    async def beyond(self, position: int, seconds: float) -> View | None:
        """Return a view beyond `position`, or None when the time is over."""
        now = asyncio.get_running_loop().time
        give_up_at = now() + seconds
        while True:
            # After a promotion an old view would read a database that is no longer active.
            is_fresh = now() - self._seen_at < FRESH_SECONDS
            if is_fresh and self._view is not None and self._view.place.position > position:
                return self._view
            left = give_up_at - now()
            if left <= 0 or not await self._told(left):
                return None

    async def _told(self, seconds: float) -> bool:
        told = asyncio.get_running_loop().create_future()
        self._waiting.add(told)
        if self._watching is None or self._watching.done():
            self._watching = start_shared(self._watch())
        try:
            async with asyncio.timeout(seconds):
                await told
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(told)
        return True

    async def _watch(self) -> None:
        """Follow the read model for as long as a reader waits."""
        position = -1
        while self._waiting:
            try:
                view = await self._reads.positions.wait(position + 1, WATCH_SECONDS)
            except Unavailable as error:
                _log.warning("live readers wait", error=str(error))
                await asyncio.sleep(AWAY_SECONDS)
                continue
            if view is not None:
                self._view, position = view, view.place.position
                self._seen_at = asyncio.get_running_loop().time()
                await self._tell()

    async def _tell(self) -> None:
        waiting = list(self._waiting)
        for start in range(0, len(waiting), TOLD_AT_ONCE):
            for told in waiting[start : start + TOLD_AT_ONCE]:
                if not told.done():
                    told.set_result(None)
            # Give other requests a turn in between.
            await asyncio.sleep(0)
        await asyncio.sleep(PACE_SECONDS_PER_READER * len(waiting))
