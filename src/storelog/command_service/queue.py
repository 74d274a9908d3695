"""The commands that wait for their batch: fair between callers, and between small and large ones.

The next command is that of the caller (key, else address) that was served the fewest lines. Large
commands wait apart and get a batch each; while small ones come, a large one is followed by a pause
as long as it took. Guarantees that the queue has a limit, and that no caller can fill it for the
others.
Next: command_service/taken.py
"""

import heapq
import itertools
import time
from collections import deque
from collections.abc import Iterable

from storelog.command_service.taken import Waiting, fail
from storelog.errors import Unavailable

MAX_LARGE = 128
MAX_PAUSE_SECONDS = 0.5
# If a small command came within this time, more of them are expected.
SMALL_COME_SECONDS = 2.0
MIN_SPLIT_COMMANDS = 8
TOO_MANY = "Too many commands are waiting."
TOO_MANY_LARGE = "Too many large commands are waiting."
Backlog = deque[Waiting]


class CallerQueues:
    """Commands by their callers, each caller's in the order in which they came."""

    def __init__(self) -> None:
        self._by_caller: dict[str, Backlog] = {}
        # A heap: for each caller the lines served to it by the time of its next command's turn.
        self._turns: list[tuple[float, int, str, Backlog]] = []
        self._numbers = itertools.count()
        self._served = 0.0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, waiting: Waiting) -> None:
        """Add one behind its caller's others."""
        self._backlog_of(waiting).append(waiting)
        self._waiting += 1

    def put_back(self, waiting: Waiting) -> None:
        """Add one before its caller's others."""
        self._backlog_of(waiting).appendleft(waiting)
        self._waiting += 1

    def first(self) -> Waiting | None:
        """Return the one whose turn it is."""
        while self._turns:
            _, _, caller, backlog = self._turns[0]
            if backlog and self._by_caller.get(caller) is backlog:
                return backlog[0]
            # The entry is outdated: its caller's commands expired or were displaced.
            heapq.heappop(self._turns)
        return None

    def pop(self) -> Waiting:
        """Take the one whose turn it is; there must be one."""
        assert self.first() is not None
        self._served, _, caller, backlog = heapq.heappop(self._turns)
        waiting = backlog.popleft()
        self._waiting -= 1
        if backlog:
            served = self._served + waiting.size.lines
            heapq.heappush(self._turns, (served, next(self._numbers), caller, backlog))
        else:
            del self._by_caller[caller]
        return waiting

    def make_room(self, newcomer: Waiting) -> Waiting | None:
        """Take the newest command of the caller with most; None if the newcomer's has as many."""
        longest = max(self._by_caller.values(), key=len, default=None)
        own = self._by_caller.get(newcomer.submission.party, ())
        if longest is None or len(longest) <= len(own) + 1:
            return None
        self._waiting -= 1
        return longest.pop()

    def expire(self, came_before: float, queued_before: float) -> list[Waiting]:
        """Take those that have waited for too long."""
        late: list[Waiting] = []
        for caller, backlog in list(self._by_caller.items()):
            while backlog and (
                backlog[0].came_at < came_before or backlog[0].queued_at < queued_before
            ):
                late.append(backlog.popleft())
            if not backlog:
                del self._by_caller[caller]
        self._waiting -= len(late)
        return late

    def _backlog_of(self, waiting: Waiting) -> Backlog:
        caller = waiting.submission.party
        backlog = self._by_caller.get(caller)
        if backlog is None:
            backlog = self._by_caller[caller] = deque()
            # A newcomer starts at the current turn, so that an idle time gives no precedence.
            heapq.heappush(self._turns, (self._served, next(self._numbers), caller, backlog))
        return backlog


class CommandQueue:
    """Everything that waits; a consumer calls `first`, then `pop` with what it got."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._small, self._large = CallerQueues(), CallerQueues()
        self._small_came_at = self._large_from = float("-inf")

    def __len__(self) -> int:
        return len(self._small) + len(self._large)

    @property
    def small(self) -> int:
        """How many small commands wait."""
        return len(self._small)

    @property
    def half(self) -> int:
        """How many small commands to leave for the next batch; 0 if there are few."""
        return 0 if len(self._small) < MIN_SPLIT_COMMANDS else len(self._small) // 2

    @property
    def small_come(self) -> bool:
        """Whether small ones wait, or are about to."""
        came_within = time.monotonic() - self._small_came_at
        return len(self._small) > 0 or came_within < SMALL_COME_SECONDS

    def put(self, waiting: Waiting) -> None:
        """Add one, which may displace another caller's. Raises Unavailable `overloaded`."""
        is_large = waiting.size.is_large
        queues = self._large if is_large else self._small
        detail = TOO_MANY_LARGE if is_large else TOO_MANY
        if len(self) >= self._most or (is_large and len(queues) >= MAX_LARGE):
            dropped = queues.make_room(waiting)
            if dropped is None:
                raise Unavailable(detail, slug="overloaded")
            fail([dropped], Unavailable(detail, slug="overloaded"))
        if not is_large:
            self._small_came_at = waiting.came_at
        queues.put(waiting)

    def put_back(self, taken: Iterable[Waiting]) -> None:
        """Put taken commands back, in their order, before those that came later."""
        for waiting in reversed(list(taken)):
            (self._large if waiting.size.is_large else self._small).put_back(waiting)

    def first(self, *, with_large: bool) -> Waiting | None:
        """Return the command whose turn it is; a large one only if `with_large` (empty batch)."""
        if with_large and len(self._large) and time.monotonic() >= self._large_from:
            return self._large.first()
        return self._small.first()

    def pop(self, waiting: Waiting) -> None:
        """Take the one that `first` has returned."""
        taken = (self._large if waiting.size.is_large else self._small).pop()
        assert taken is waiting

    def pause_large(self, began: float) -> float:
        """Pause the large commands after one that `began` at a monotonic time and has landed.

        Returns the seconds: as many as that one took if small ones have come since, else 0.
        """
        now = time.monotonic()
        is_alone = self._small_came_at < began
        pause = 0.0 if is_alone else min(now - began, MAX_PAUSE_SECONDS)
        self._large_from = now + pause
        return pause

    def expire(
        self, came_before: float, queued_before: float, large_before: float, why: Unavailable
    ) -> None:
        """Reject what came before a time (monotonic), or was queued before one (pulse's clock).

        `why` says that PostgreSQL does not respond, or that too many commands wait.
        """
        for queues, before, detail in (
            (self._small, queued_before, TOO_MANY),
            (self._large, large_before, TOO_MANY_LARGE),
        ):
            # A large command that only pauses has sent nothing: PostgreSQL is not the reason.
            is_away = why.slug != "overloaded" and before > float("-inf")
            error = why if is_away else Unavailable(detail, slug="overloaded")
            fail(queues.expire(came_before, before), error)
