"""Tells whether Kafka's events are of the log that was projected, before anything is mixed.

After PostgreSQL was restored to an earlier time, the relay's log may lack what is in MongoDB, or go
on in another way from there. What is at or below a lane's position is a repeat and is dropped, so a
second history would vanish silently: its hashes and its watermarks are looked at first.
Next: projector/receive/lane.py
"""

import time

from storelog.errors import HistoryMismatch
from storelog.projector.checkpoints import Checkpoint

# A relay that died between sending and its row announces less than was sent, until it has sent that
# again; one that goes on announcing less has another log.
BEHIND_SECONDS = 30.0
WHAT_TO_DO = (
    "PostgreSQL was restored to an earlier time or replaced; restore it again, or use another"
    " STORELOG_KAFKA_TOPIC_PREFIX and MongoDB database for the other log"
)


class History:
    """What one lane has seen since it was loaded, at `position`.

    `end`: the offset at which its watermarks ended then, None while that is not known. Those before
    it are read again, and may announce less; no clock tells, since Kafka's is another machine's.
    """

    def __init__(self, position: int) -> None:
        self.end: int | None = None
        self._newest = position
        self._behind_since: float | None = None

    def check(self, position: int, event_hash: str, checkpoint: Checkpoint) -> None:
        """Compare an event's hash with the lane's, where they are at one position.

        Raises HistoryMismatch.
        """
        if position == checkpoint.position and position and event_hash != checkpoint.hash:
            raise HistoryMismatch(
                f"Kafka has another event at position {position} than was projected: {WHAT_TO_DO}"
            )

    def is_new(self, offset: int) -> bool:
        """Tell whether a watermark was sent after the lane was loaded."""
        return self.end is not None and offset >= self.end

    def check_mark(self, offset: int, position: int, checkpoint: Checkpoint) -> None:
        """Look whether the relay's log goes on being shorter than what was projected.

        Raises HistoryMismatch.
        """
        if not self.is_new(offset):
            return
        # A busy projector reads watermarks later than the events before them; those go on growing.
        if position >= checkpoint.position or position > self._newest:
            self._newest = max(position, self._newest)
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = time.monotonic()
        elif time.monotonic() - self._behind_since > BEHIND_SECONDS:
            raise HistoryMismatch(
                f"the read model holds position {checkpoint.position}, the relay's log ends at"
                f" {position}: {WHAT_TO_DO}"
            )
