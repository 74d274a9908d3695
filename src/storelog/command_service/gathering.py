"""Holds back for a moment a batch that is small for the load: more commands are about to come.

Clients that wait for their responses come back together. Without the wait they would all end up in
one batch, and there would be nothing to decide while it is written.
Next: command_service/taken.py
"""

import asyncio
import time
from collections import deque

GATHER_SECONDS = 0.004


class Gathering:
    """One per pipeline: the sizes of the last two batches, and since when none is written."""

    def __init__(self) -> None:
        self._sizes: deque[int] = deque([0], maxlen=2)
        self._idle_since = 0.0

    def begin(self, commands: int) -> None:
        """Take note that a batch of so many commands is being written."""
        self._sizes.append(commands)

    def end(self) -> None:
        """Take note that it has ended."""
        self._idle_since = time.monotonic()

    async def is_worth_waiting(self, commands: int, changed: asyncio.Event) -> bool:
        """Wait while `commands` are few for the load; return whether `changed` was set."""
        # Two batches alternate, so each normally has about half of the clients' commands.
        if commands >= max(self._sizes) // 2:
            return False
        left = self._idle_since + GATHER_SECONDS - time.monotonic()
        if left <= 0:
            return False
        try:
            async with asyncio.timeout(left):
                await changed.wait()
        except TimeoutError:
            return changed.is_set()
        return True
