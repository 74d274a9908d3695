"""The windows of a walk through time: each is as wide as the last one's density suggests.

Next: query_service/paging/keyset.py
"""

from dataclasses import dataclass

# Windows are in milliseconds, like the times of documents. The first one holds six orders of a shop
# that takes 200 a second; a quiet shop costs one empty window more.
FIRST_WINDOW = 32
# Factors after an empty window. Before much was found, the next one may hold a page, but not days
# of a shop that was closed. After that, the window is empty because of a gap such as a night, and
# the next page lies right behind it.
WIDEN_BY, WIDE, WIDEN_WIDE_BY = 32, 60_000, 6
WIDEN_GAP_BY, LEAST_GAP = 1.5, 1_000
SPARE = 3
# After an empty window, one wider than this ends at the next milestone.
FAR = 2_000


@dataclass(slots=True)
class Steps:
    """The size of each window of a walk; `read`: how many documents earlier windows had."""

    wanted: int
    end: int
    is_up: bool
    window: int = FIRST_WINDOW
    read: int = 0
    is_empty: bool = False
    milestones: list[int] | None = None

    def begin(self, at: int, time: int) -> None:
        """Let the first window, which begins at `at`, end at a time, if that is ahead."""
        ahead = time - at if self.is_up else at - time
        if ahead >= 0:
            self.window = ahead + 1

    def is_left(self, at: int) -> bool:
        """Tell whether the end has not been reached."""
        return at <= self.end if self.is_up else at >= self.end

    @property
    def is_far(self) -> bool:
        """Whether the next window needs milestones: it is wide, and the last one was empty."""
        return self.is_empty and self.milestones is None and self.window > FAR

    def edge(self, at: int) -> int:
        """Return the last millisecond of the window that begins at a time.

        A window never goes beyond the next milestone, and reaches it as long as nothing was found.
        """
        sign = 1 if self.is_up else -1
        ahead = (time for time in self.milestones or () if (time - at) * sign >= 0)
        edge = self._nearer(next(ahead, self.end), self.end)
        if not self.milestones or self.read >= SPARE or not self.is_empty:
            edge = self._nearer(at + sign * (self.window - 1), edge)
        self.window = abs(edge - at) + 1
        return edge

    def _nearer(self, one: int, other: int) -> int:
        return min(one, other) if self.is_up else max(one, other)

    def widen(self, before: int) -> None:
        """Size the next window to hold what is still wanted, assuming the density of the last.

        `before`: how many documents were read before the last window.
        """
        self.is_empty = self.read == before
        if self.is_empty and self.read < SPARE:
            self.window *= WIDEN_BY if self.window < WIDE else WIDEN_WIDE_BY
        elif self.is_empty:
            self.window = max(LEAST_GAP, int(self.window * WIDEN_GAP_BY))
        else:
            left = self.wanted - self.read if self.read < self.wanted else self.wanted
            # Reading a few too many costs less than one more window.
            by = min(WIDEN_BY, (left + SPARE) / (self.read - before))
            self.window = max(FIRST_WINDOW, int(self.window * by))
