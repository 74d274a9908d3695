"""The watermarks of one lane that its records have not reached yet.

Next: projector/receive/lane.py
"""

from collections import deque
from dataclasses import replace

from storelog.errors import HistoryMismatch
from storelog.projector.batch import Announced
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.receive.log_identity import WHAT_TO_DO
from storelog.watermark import Watermark


class WaitingMarks:
    """One per lane; the oldest comes first."""

    def __init__(self, lane: int) -> None:
        self._lane = lane
        self._marks: deque[Watermark] = deque()
        self._places: deque[tuple[str, int]] = deque()
        self._read_at: str | None = None

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def first_place(self) -> tuple[str, int] | None:
        """The topic and the offset of the oldest watermark, None where none waits."""
        return self._places[0] if self._places else None

    def add(self, mark: Watermark, place: tuple[str, int], ahead: Checkpoint) -> None:
        """Take in a watermark from its topic and offset; `ahead`: where the lane is."""
        # The number of lanes only grows, so a watermark with fewer is from before the change.
        has_lane = len(mark.lanes) >= max(self._lane + 1, ahead.lanes)
        if mark.position > ahead.safe and has_lane:
            self._marks.append(mark)
            self._places.append(place)
        elif mark.position == ahead.safe and mark.readAt is not None:
            self._read_at = mark.readAt

    def sure_to_come(self) -> int:
        """Return up to which of the lane's positions Kafka must have the records; 0: none is known.

        A relay sends a further watermark, or one with `readAt`, only once all its records are
        acknowledged. So the records of the newest watermark may still be on their way.
        """
        newest = len(self._marks) - 1
        if newest >= 0 and self._marks[newest].readAt is None:
            newest -= 1
        return self._marks[newest].lanes[self._lane] if newest >= 0 else 0

    def has_news(self, position: int) -> bool:
        """Tell whether a lane at a position has reached one, or has heard of a later time."""
        return self._is_reached(position) or self._read_at is not None

    def _is_reached(self, position: int) -> bool:
        return bool(self._marks) and self._marks[0].lanes[self._lane] <= position

    def reach(self, new: Checkpoint, ahead: Checkpoint) -> Checkpoint:
        """Return the checkpoint with the watermarks that it has reached, which wait no longer.

        Raises HistoryMismatch where one names another event than was projected.
        """
        while self._is_reached(new.position):
            mark = self._marks.popleft()
            self._places.popleft()
            if mark.position == new.position and mark.hash != new.hash:
                raise HistoryMismatch(
                    f"the relay's log has another event at position {mark.position} than was"
                    f" projected here: {WHAT_TO_DO}"
                )
            if mark.position > new.safe:
                new = replace(
                    new,
                    safe=mark.position,
                    safe_recorded_at=mark.recordedAt,
                    read_at=mark.readAt,
                    lanes=len(mark.lanes),
                    history=mark.history or new.history,
                )
        if self._read_at is not None and new.safe == ahead.safe:
            new = replace(new, read_at=self._read_at)
        self._read_at = None
        return new

    def announced(self) -> Announced | None:
        """Return what the lane has yet to reach, None where it has reached all."""
        if not self._marks:
            return None
        return Announced(self._marks[0].recordedAt, self._marks[-1].position)
