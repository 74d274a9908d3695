"""Commands that carry a key and run in this process: a second use of the key waits for the first.

Next: command_service/pipeline.py
"""

import asyncio
import time

from storelog.command_service.remembered import CallerKey
from storelog.errors import Conflict
from storelog.web.http import Response

KEY_WAIT_SECONDS = 10.0


class InFlight:
    """One per pipeline."""

    def __init__(self) -> None:
        self._running: dict[CallerKey, asyncio.Future[Response]] = {}

    def is_running(self, key: CallerKey | None) -> bool:
        """Whether a command with this key runs."""
        return key is not None and key in self._running

    def runs(
        self, key: CallerKey | None, response: asyncio.Future[Response]
    ) -> asyncio.Future[Response]:
        """Take note of a command's future response, and return it; no other with its key runs."""
        if key is not None:
            self._running[key] = response
            response.add_done_callback(lambda _: self._running.pop(key, None))
        return response

    async def ended(self, key: CallerKey | None) -> None:
        """Wait until no command with this key runs. Raises Conflict `idempotency-in-progress`."""
        deadline = time.monotonic() + KEY_WAIT_SECONDS
        while key is not None and (running := self._running.get(key)) is not None:
            await asyncio.wait([running], timeout=max(0.0, deadline - time.monotonic()))
            if not running.done():
                detail = "The first request with this key is still running."
                raise Conflict("idempotency-in-progress", detail, headers=[("Retry-After", "1")])
            # Let the first request's callback remove the key before the next look.
            await asyncio.sleep(0)
