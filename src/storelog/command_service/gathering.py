"""Waits a moment for a batch that is small for the load: the others are about to come.

Clients that wait for their answers come back together. Without this they would all end up in one
batch, and nothing would be left to decide while it is written.
Next: command_service/taken.py
"""

import asyncio
import time
from collections import deque

GATHER_SECONDS = 0.004


class Gathering:
    """One per pipeline: how large the last two batches were, and since when nothing is written."""

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
        """Wait while so many are few for this load; return whether `changed` was set meanwhile."""
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
