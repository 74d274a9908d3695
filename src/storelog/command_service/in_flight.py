"""Commands that carry a key and run in this process: a second use of the key waits for the first.

Next: command_service/pipeline.py
"""

import asyncio
import time
from collections.abc import Callable

from storelog.command_service.batch import Key
from storelog.errors import Conflict
from storelog.web.http import Response

KEY_WAIT_SECONDS = 10.0


class InFlight:
    """One per pipeline."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Future[Response]] = {}

    async def run(self, key: Key, begin: Callable[[], asyncio.Future[Response]]) -> Response:
        """Begin a command once no other with its key runs; return its response.

        Raises Conflict `idempotency-in-progress`, and what the command raises.
        """
        deadline = time.monotonic() + KEY_WAIT_SECONDS
        while (running := self._running.get(key)) is not None:
            await asyncio.wait([running], timeout=max(0.0, deadline - time.monotonic()))
            if not running.done():
                detail = "The first request with this key is still running."
                raise Conflict("idempotency-in-progress", detail, headers=[("Retry-After", "1")])
            await asyncio.sleep(0)
        answer = begin()
        self._running[key] = answer
        try:
            return await answer
        finally:
            del self._running[key]
