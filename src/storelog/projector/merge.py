"""Merges the nine partitions of one lane back into log order.

The next record is the one whose `lane_previous` is the last that was taken. At or below it is a
repeat and is dropped; anything else waits, in buffers with a limit. A missing link is waited for,
never skipped.
Next: projector/lane.py
"""

from collections import deque

from storelog.projector.record import Record

PAUSE_ABOVE = 400
RESUME_BELOW = 200


class LaneMerge:
    """The records of one lane that wait for their turn."""

    def __init__(self, last: int) -> None:
        self.last = last
        self._by_previous: dict[int, Record] = {}
        self._offsets: dict[str, deque[int]] = {}

    def add(self, record: Record) -> None:
        """Take in a record, in any order; drop a repeat."""
        if record.position <= self.last or record.lane_previous in self._by_previous:
            return
        self._by_previous[record.lane_previous] = record
        self._offsets.setdefault(record.topic, deque()).append(record.offset)

    def take(self, limit: int, max_bytes: int) -> list[Record]:
        """Return the next records in log order, at most `limit`; none after so many bytes."""
        taken: list[Record] = []
        size = 0
        while len(taken) < limit and size < max_bytes:
            record = self._by_previous.pop(self.last, None)
            if record is None:
                break
            offsets = self._offsets[record.topic]
            if offsets[0] == record.offset:
                offsets.popleft()
            else:
                offsets.remove(record.offset)
            self.last = record.position
            taken.append(record)
            size += len(record.value or b"")
        return taken

    def has_next(self) -> bool:
        """Tell whether the record that follows the last one is here."""
        return self.last in self._by_previous

    def waiting(self, topic: str) -> int:
        """Return how many records of the topic wait."""
        return len(self._offsets.get(topic, ()))

    def number_waiting(self) -> int:
        """Return how many records wait for an earlier one."""
        return len(self._by_previous)

    def has_waiting(self) -> bool:
        """Tell whether any record waits for an earlier one."""
        return bool(self._by_previous)

    def first_offset(self, topic: str) -> int | None:
        """Return the lowest offset of the topic that is not yet taken, None when none waits."""
        offsets = self._offsets.get(topic)
        return min(offsets) if offsets else None
