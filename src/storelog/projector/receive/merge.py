"""Merges the nine partitions of one lane back into log order.

The next record is the one whose `lane_previous` is the position that was taken last. A record at or
below that position is a repeat and is dropped; any other waits, in buffers with a limit. The merge
waits for a missing record and never skips it. If more records of its own topic come before it than
may wait, they are let go and read again once it has come.
Next: projector/batch.py
"""

from collections import Counter, deque

from storelog.projector.receive.record import Record

PAUSE_ABOVE = 200
RESUME_BELOW = 100
# The values of one topic and lane: more than 200 small ones, or about seven of the largest.
PAUSE_ABOVE_BYTES = 4 * 1024 * 1024
RESUME_BELOW_BYTES = 2 * 1024 * 1024


class LaneMerge:
    """The records of one lane that wait for their turn.

    `safe`: the lane has all its events up to here. Records that were sent with fewer lanes lie
    below it. They may follow the lane's last position, but belong to another lane now.
    """

    def __init__(self, last: int, safe: int = 0) -> None:
        self.last = last
        self._safe = safe
        self._by_previous: dict[int, Record] = {}
        self._offsets: dict[str, deque[int]] = {}
        self._bytes: Counter[str] = Counter()
        self._searched_at: int | None = None
        self._let_go: dict[str, int] = {}

    def add(self, record: Record) -> None:
        """Take in a record, in any order; drop a repeat."""
        if (
            record.position <= max(self.last, self._safe)
            or record.lane_previous in self._by_previous
        ):
            return
        if self.is_searching and self._is_one_too_many(record):
            offset = self._let_go.get(record.topic, record.offset)
            self._let_go[record.topic] = min(offset, record.offset)
            return
        self._by_previous[record.lane_previous] = record
        self._offsets.setdefault(record.topic, deque()).append(record.offset)
        self._bytes[record.topic] += len(record.value or b"")

    def _is_one_too_many(self, record: Record) -> bool:
        is_next = record.lane_previous == self.last
        return not is_next and (
            self.waiting(record.topic) > PAUSE_ABOVE
            or self.waiting_bytes(record.topic) > PAUSE_ABOVE_BYTES
        )

    @property
    def is_searching(self) -> bool:
        """Whether the lane looks for its next record in everything that comes."""
        return self._searched_at is not None

    def search(self) -> None:
        """Look for the next record in everything that comes; let go what may not wait."""
        self._searched_at = self.last

    def has_found(self) -> bool:
        """Tell whether the record was found, so that those let go must be read again."""
        return self._searched_at not in (None, self.last) and bool(self._let_go)

    def take(self, limit: int, max_bytes: int) -> list[Record]:
        """Return the next records in log order: at most `limit`, ending after `max_bytes`."""
        taken: list[Record] = []
        size = 0
        while len(taken) < limit and size < max_bytes:
            record = self._by_previous.pop(self.last, None)
            if record is None:
                break
            # A topic's records mostly leave in the order in which they came.
            offsets = self._offsets[record.topic]
            if offsets[0] == record.offset:
                offsets.popleft()
            else:
                offsets.remove(record.offset)
            self.last = record.position
            taken.append(record)
            length = len(record.value or b"")
            size += length
            self._bytes[record.topic] -= length
        if taken and not self._let_go:
            self._searched_at = None
        return taken

    def has_next(self) -> bool:
        """Tell whether the record that follows the last one is here."""
        return self.last in self._by_previous

    def waiting(self, topic: str) -> int:
        """Return how many records of the topic wait."""
        return len(self._offsets.get(topic, ()))

    def waiting_bytes(self, topic: str) -> int:
        """Return the size in bytes of the topic's values that wait."""
        return self._bytes[topic]

    def number_waiting(self) -> int:
        """Return how many records wait for an earlier one."""
        return len(self._by_previous)

    def has_waiting(self) -> bool:
        """Tell whether any record waits for an earlier one."""
        return bool(self._by_previous)

    def first_offset(self, topic: str) -> int | None:
        """Return the lowest offset of the topic that must be read again after a crash, if any."""
        offsets = [*self._offsets.get(topic, ())]
        if topic in self._let_go:
            offsets.append(self._let_go[topic])
        return min(offsets, default=None)
