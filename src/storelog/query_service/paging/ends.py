"""Where pages ended, so that the same page is found by one window as long as little has changed.

A window of the length that held the page holds at most as many documents more as there were events
since: a page costs no more than before, whatever the shop did meanwhile.
Guarantees that no response depends on it: a window that holds too little is followed by others.
Next: query_service/paging/keyset.py
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from storelog.envelope import milliseconds

MAX_KEPT = 512
# Larger documents come some at a time, and so do those of which that is not known.
SMALL_BYTES, MAX_UNKNOWN = 65_536, 16


@dataclass(frozen=True, slots=True)
class End:
    """A page's last time, in milliseconds; whether all its documents can come at once."""

    time: int
    is_small: bool


class Ends:
    """What one process remembers of its pages."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[int, int, int]] = OrderedDict()

    def find(self, page: Hashable, position: int, wanted: int) -> End | None:
        """Return where the page ended, unless more than it holds may have come in between since."""
        found = self._kept.get(page)
        if found is None:
            return None
        at, time, size = found
        if not 0 <= position - at <= wanted:
            return None
        return End(time, size <= SMALL_BYTES and position - at <= MAX_UNKNOWN)

    def keep(self, page: Hashable, position: int, time: int, size: int) -> None:
        """Remember a page that was read at a position: its last time, and how large it was."""
        self._kept[page] = position, time, size
        self._kept.move_to_end(page)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def forget(self, page: Hashable) -> None:
        """Forget where a page ended."""
        self._kept.pop(page, None)


@dataclass(frozen=True, slots=True)
class WalkedPages:
    """The pages of one walk: of a list with its filters, at a position of the log.

    `time`: the field that they go by; `size_of`: about how many bytes a document has.
    """

    ends: Ends
    of: Hashable
    position: int
    wanted: int
    time: str
    size_of: Callable[[dict[str, Any]], int]

    def begin(self, after: Sequence[int] | None, *, is_up: bool) -> "PageReading":
        """Begin to read the page after a key."""
        page = self.of, self.wanted, is_up, None if after is None else tuple(after)
        return PageReading(self, page, self.ends.find(page, self.position, self.wanted))


@dataclass(slots=True)
class PageReading:
    """One reading of a page; `end`: where it ended before, if that is of use."""

    pages: WalkedPages
    page: Hashable
    end: End | None
    read: int = 0
    size: int = 0
    last: dict[str, Any] | None = None

    def saw(self, document: dict[str, Any]) -> None:
        """Take note of a document, whether the page has it or not."""
        self.read, self.last = self.read + 1, document
        self.size += self.pages.size_of(document)

    def done(self) -> None:
        """Remember the page, unless hardly any of what was read was for it."""
        if self.last is None:
            # The window may be too large to be read in time: while one lane is behind, the others'
            # documents come without a step of the position.
            self.pages.ends.forget(self.page)
        elif self.read <= 2 * self.pages.wanted:
            time = milliseconds(self.last[self.pages.time])
            # A reading that was ended early does not tell how large the rest is.
            size = self.size * max(self.pages.wanted, self.read) // self.read
            self.pages.ends.keep(self.page, self.pages.position, time, size)
