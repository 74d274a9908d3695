"""Limits how many requests are begun in one turn of the event loop.

The replies of PostgreSQL and MongoDB arrive through the same loop. In a flood each turn would begin
a request of every connection, 0.3 s of work for 3,000 of them, and a command that takes four round
trips to PostgreSQL would take more than a second. So the rest waits for the next turns, in the
order in which it came.
Next: web/connections.py
"""

import asyncio
from collections import deque
from collections.abc import Callable

MAX_BEGUN = 128


class Turns:
    """One for all connections of a process."""

    def __init__(self) -> None:
        self._begun = 0
        self._is_due = False
        self._waiting: deque[Callable[[], None]] = deque()

    def may_begin(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Count one in, and tell whether it may begin in this turn; if not, call `wait`."""
        self._look_again(loop)
        if self._waiting or self._begun >= MAX_BEGUN:
            return False
        self._begun += 1
        return True

    def wait(self, begin: Callable[[], None]) -> None:
        """Have `begin` called in its turn; a connection calls this once and pauses reading."""
        self._waiting.append(begin)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun, self._is_due = 0, False
        while self._waiting and self._begun < MAX_BEGUN:
            if not self._begun:
                self._look_again(loop)
            self._begun += 1
            self._waiting.popleft()()
