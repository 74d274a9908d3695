"""The commands that wait for their batch: fair between callers, and between small and large ones.

Of those who wait, the caller (key, else address) that has had the fewest lines is next. Large
commands wait apart and have a batch each; while small ones come, they pause after each for as long
as it took, and none follows another at once. Guarantees that the queue has a limit, which a caller
cannot fill for the others.
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
# While small ones have come within so long, more of them are expected.
SMALL_COME_SECONDS = 2.0
MIN_SPLIT_COMMANDS = 8
TOO_MANY = "Too many commands are waiting."
TOO_MANY_LARGE = "Too many large commands are waiting."
Lane = deque[Waiting]


class CallerQueues:
    """Commands by their callers, each caller's in the order in which they came."""

    def __init__(self) -> None:
        self._by_caller: dict[str, Lane] = {}
        # Of each caller: the lines that it has had when its next command's turn is.
        self._turns: list[tuple[float, int, str, Lane]] = []
        self._numbers = itertools.count()
        self._had = 0.0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, waiting: Waiting) -> None:
        """Add one behind its caller's others."""
        self._lane(waiting).append(waiting)
        self._waiting += 1

    def put_back(self, waiting: Waiting) -> None:
        """Add one before its caller's others."""
        self._lane(waiting).appendleft(waiting)
        self._waiting += 1

    def first(self) -> Waiting | None:
        """Return the one whose turn it is."""
        while self._turns:
            _, _, caller, lane = self._turns[0]
            if lane and self._by_caller.get(caller) is lane:
                return lane[0]
            heapq.heappop(self._turns)
        return None

    def pop(self) -> Waiting:
        """Take the one whose turn it is; there must be one."""
        assert self.first() is not None
        self._had, _, caller, lane = heapq.heappop(self._turns)
        waiting = lane.popleft()
        self._waiting -= 1
        if lane:
            had = self._had + waiting.size.lines
            heapq.heappush(self._turns, (had, next(self._numbers), caller, lane))
        else:
            del self._by_caller[caller]
        return waiting

    def make_room(self, newcomer: Waiting) -> Waiting | None:
        """Take the newest of the caller that has most; None if the newcomer's has as many."""
        longest = max(self._by_caller.values(), key=len, default=None)
        own = self._by_caller.get(newcomer.submission.party, ())
        if longest is None or len(longest) <= len(own) + 1:
            return None
        self._waiting -= 1
        return longest.pop()

    def expire(self, came_before: float, queued_before: float) -> list[Waiting]:
        """Take those that have waited for too long."""
        late: list[Waiting] = []
        for caller, lane in list(self._by_caller.items()):
            while lane and (lane[0].came_at < came_before or lane[0].queued_at < queued_before):
                late.append(lane.popleft())
            if not lane:
                del self._by_caller[caller]
        self._waiting -= len(late)
        return late

    def _lane(self, waiting: Waiting) -> Lane:
        caller = waiting.submission.party
        lane = self._by_caller.get(caller)
        if lane is None:
            lane = self._by_caller[caller] = deque()
            heapq.heappush(self._turns, (self._had, next(self._numbers), caller, lane))
        return lane


class CommandQueue:
    """All that waits; whoever takes asks for `first`, then calls `pop`."""

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
        """How many small ones stay, so that the next batch is not left empty; 0 of few."""
        return 0 if len(self._small) < MIN_SPLIT_COMMANDS else len(self._small) // 2

    @property
    def small_come(self) -> bool:
        """Whether small ones wait, or are about to."""
        came_within = time.monotonic() - self._small_came_at
        return len(self._small) > 0 or came_within < SMALL_COME_SECONDS

    def put(self, waiting: Waiting) -> None:
        """Add one. Raises Unavailable `overloaded`; another caller's may have to go for it."""
        is_large = waiting.size.is_large
        lanes = self._large if is_large else self._small
        detail = TOO_MANY_LARGE if is_large else TOO_MANY
        if len(self) >= self._most or (is_large and len(lanes) >= MAX_LARGE):
            dropped = lanes.make_room(waiting)
            if dropped is None:
                raise Unavailable(detail, slug="overloaded")
            fail([dropped], Unavailable(detail, slug="overloaded"))
        if not is_large:
            self._small_came_at = waiting.came_at
        lanes.put(waiting)

    def put_back(self, taken: Iterable[Waiting]) -> None:
        """Add again what was taken, in its order, before what came later."""
        for waiting in reversed(list(taken)):
            (self._large if waiting.size.is_large else self._small).put_back(waiting)

    def first(self, *, with_large: bool) -> Waiting | None:
        """Return whose turn it is; a large one only with `with_large`, for an empty batch."""
        if with_large and len(self._large) and time.monotonic() >= self._large_from:
            return self._large.first()
        return self._small.first()

    def pop(self, waiting: Waiting) -> None:
        """Take the one that `first` has returned."""
        taken = (self._large if waiting.size.is_large else self._small).pop()
        assert taken is waiting

    def pause_large(self, began: float) -> float:
        """Let the large ones wait now, after one that `began` then (monotonic) has landed.

        Returns for how many seconds: as long as it took, if small ones have come meanwhile.
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

        `why`: that PostgreSQL does not respond, or else that there is too much of the kind.
        """
        for lanes, before, detail in (
            (self._small, queued_before, TOO_MANY),
            (self._large, large_before, TOO_MANY_LARGE),
        ):
            # Large ones that pause ask nothing of PostgreSQL.
            is_away = why.slug != "overloaded" and before > float("-inf")
            error = why if is_away else Unavailable(detail, slug="overloaded")
            fail(lanes.expire(came_before, before), error)
