"""Holds back for a moment a batch that is small for the load: more commands are about to come.

Clients that wait for their responses come back together. Without the wait they would all end up in
one batch, and there would be nothing to decide while it is written. And a batch of one command
costs this service and PostgreSQL four times what a command in a large batch does, so the first few
wait for others, as long as others come (decision 60).
Next: command_service/taken.py
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

GATHER_SECONDS = 0.004
# So many commands do not wait for others, and no batch waits longer than this for them.
ENOUGH_COMMANDS = 4
MAX_WAIT_SECONDS = 0.01
MAX_SKIPPED = 64


class Gathering:
    """One per pipeline: the sizes of the last two batches, and when the last one was written.

    A batch of few commands waits at most as long as the one before took to write, so that half of
    the time is left for writing. After a wait that brought no command, the next batch does not
    wait; after another one, the next 2, then 4, up to MAX_SKIPPED.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: the time in seconds."""
        self._now = now
        self._sizes: deque[int] = deque([0], maxlen=2)
        self._began_at = self._ended_at = 0.0
        self._waits_with: int | None = None
        self._to_skip, self._skip_next = 0, 1

    def begin(self, commands: int) -> None:
        """Take note that a batch of so many commands is being written."""
        self._sizes.append(commands)
        self._began_at = self._now()
        if self._waits_with is None:
            self._to_skip = max(0, self._to_skip - 1)
        elif commands > self._waits_with:
            self._skip_next = 1
        else:
            self._to_skip, self._skip_next = self._skip_next, min(2 * self._skip_next, MAX_SKIPPED)
        self._waits_with = None

    def end(self) -> None:
        """Take note that it has ended."""
        self._ended_at = self._now()

    async def is_worth_waiting(self, commands: int, changed: asyncio.Event) -> bool:
        """Wait while `commands` are few for the load; return whether `changed` was set."""
        left = self.seconds_left(commands)
        if left <= 0:
            return False
        try:
            async with asyncio.timeout(left):
                await changed.wait()
        except TimeoutError:
            return changed.is_set()
        return True

    def seconds_left(self, commands: int) -> float:
        """Return how many seconds a batch of so many commands is to wait on; 0 or less: not at all.

        A batch for which there are some counts as waiting from then on, until it begins.
        """
        # Two batches alternate, so each normally has about half of the clients' commands.
        usual = max(self._sizes) // 2
        left = self._ended_at + GATHER_SECONDS - self._now() if commands < usual else 0.0
        if self._to_skip or max(commands, usual) >= ENOUGH_COMMANDS:
            return left
        took = min(self._ended_at - self._began_at, MAX_WAIT_SECONDS)
        left = max(left, self._ended_at + took - self._now())
        if left > 0 and self._waits_with is None:
            self._waits_with = commands
        return left
