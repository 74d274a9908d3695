"""Checks that Kafka's events belong to the log that was projected, before anything is mixed.

After PostgreSQL was restored to an earlier time, the relay's log may lack events that MongoDB has,
or continue differently from there. An event at or below a lane's position counts as a repeat and is
dropped, so a second history would vanish silently. That is why hashes and watermarks are compared.
Next: projector/receive/lane.py
"""

import time

from storelog.errors import HistoryMismatch, PoisonRecord
from storelog.origin import Origin
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.receive.proof import check_behind
from storelog.projector.receive.record import read_behind

# A relay that died after sending, before it saved its place, announces less than was sent until it
# has sent those events again. One that announces less for longer than this has another log.
BEHIND_SECONDS = 30.0
WHAT_TO_DO = (
    "PostgreSQL has failed over to a server that lacked commits, or was restored to an earlier"
    " time: let the server lead that has them, or run `storelog recover`"
)


class LogIdentity:
    """Compares the records of one lane with the log that was projected up to `position`.

    `end`: the offset at which the lane's watermarks ended when it was loaded, None while unknown.
    Watermarks before it are read again and may announce less. No clock can tell them apart, since
    Kafka's times come from another machine.
    """

    def __init__(self, position: int) -> None:
        self.end: int | None = None
        self._newest = position
        self._behind_since: float | None = None

    def check(self, position: int, event_hash: str, checkpoint: Checkpoint) -> None:
        """Compare an event's hash with the checkpoint's, if both are at the same position.

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
        """Check that the relay's log does not stay shorter than what was projected.

        Raises HistoryMismatch.
        """
        if not self.is_new(offset):
            return
        # A busy projector reads watermarks long after the events that they announce. Those of the
        # same log keep growing meanwhile.
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
    """What one lane knows of its log: which histories were left, and whether it lacks events.

    `trouble`: a message on why the lane may differ from the log, or None. `heard_at`: topic and
    offset of the relay's record that first said so; the lane is read from there when it is loaded.
    """

    def __init__(self, origin: Origin | None) -> None:
        self._origin = origin
        self.trouble: str | None = None
        self.heard_at: tuple[str, int] | None = None

    def has_left(self, history: str | None, position: int) -> bool:
        """Tell whether a place belongs to a history that the log has left, which Kafka still has.

        Raises PoisonRecord where the history is unknown here.
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

    def clear(self) -> None:
        """Take note of a relay whose log has all that Kafka has."""
        self.trouble = self.heard_at = None

    def hear(self, value: bytes, topic: str, offset: int) -> None:
        """Take note of a relay's record which says that its log lacks events that Kafka has.

        Raises the errors of a bad watermark.
        """
        said = read_behind(value)
        check_behind(said)
        if not self.has_left(said.history, said.ahead):
            self.heard_at = self.heard_at or (topic, offset)
            self.trouble = (
                f"The log in PostgreSQL ends at {said.position}, its events up to {said.ahead} were"
                " sent before it failed over or was restored: run `storelog recover`"
            )
