"""Tells whether Kafka's events are of the log that was projected, before anything is mixed.

After PostgreSQL was restored to an earlier time, the relay's log may lack what is in MongoDB, or go
on in another way from there. What is at or below a lane's position is a repeat and is dropped, so a
second history would vanish silently: its hashes and its watermarks are looked at first.
Next: projector/receive/lane.py
"""

import time

from storelog.errors import HistoryMismatch, PoisonRecord
from storelog.origin import Origin
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.receive.proof import check_behind
from storelog.projector.receive.record import read_behind

# A relay that died between sending and its row announces less than was sent, until it has sent that
# again; one that goes on announcing less has another log.
BEHIND_SECONDS = 30.0
WHAT_TO_DO = (
    "PostgreSQL has failed over to a server that lacked commits, or was restored to an earlier"
    " time: let the server lead that has them, or run `storelog recover`"
)


class LogIdentity:
    """Compares what one lane receives with the log that was projected up to `position`.

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


class Standing:
    """What one lane was told of its log: which histories were left, and whether it lacks events.

    `trouble`: why the lane may not be what the log says, in words.
    """

    def __init__(self, origin: Origin | None) -> None:
        self._origin = origin
        self.trouble: str | None = None

    def has_left(self, history: str | None, position: int) -> bool:
        """Tell whether a place is of a history that was left: Kafka keeps it, it counts no more.

        Raises PoisonRecord where the history is none that is known here.
        """
        if self._origin is None:
            return False
        try:
            return self._origin.is_lost(history, position)
        except PoisonRecord:
            self.trouble = (
                f"Kafka has the log's history {history}, unknown to MongoDB: run `storelog migrate`"
            )
            raise

    def hear(self, value: bytes) -> None:
        """Take note of a relay whose log lacks what Kafka has.

        Raises what a bad watermark does.
        """
        said = read_behind(value)
        check_behind(said)
        if not self.has_left(said.history, said.ahead):
            self.trouble = (
                f"The log in PostgreSQL ends at {said.position}, its events up to {said.ahead} were"
                " sent before it failed over or was restored: run `storelog recover`"
            )
