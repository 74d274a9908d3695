"""How large a batch MongoDB can take at present, and whether the lanes move at all.

A batch that timed out is tried in smaller parts, whichever of its operations was late; a server
that cannot be found is only waited for. Guarantees that health reports a read side that stands.
Next: projector/databases/failures.py
"""

import time
from collections.abc import Hashable

from storelog.projector.batch import MAX_EVENTS
from storelog.projector.databases.failures import explain, is_timeout

FIRST_BACK_OFF_SECONDS, MAX_BACK_OFF_SECONDS = 0.1, 5.0
# Normally a batch is written within a second, and a lane reads its next records within five.
STALLED_SECONDS, QUIET_SECONDS = 30.0, 5.0


class Pace:
    """`batch_events`: how many events the next batch may have."""

    def __init__(self) -> None:
        self.batch_events = MAX_EVENTS
        self._back_off = FIRST_BACK_OFF_SECONDS
        self._failed_at = 0.0
        self._cause = ""
        self._places: Hashable = None
        self._stands_since: float | None = None

    def wrote(self) -> None:
        """Take note of a batch that was written: the next one may be larger."""
        self._back_off = FIRST_BACK_OFF_SECONDS
        self.batch_events = min(2 * self.batch_events, MAX_EVENTS)
        self._failed_at, self._cause = 0.0, ""

    def failed(self, error: BaseException) -> None:
        """Take note of a batch that was not written, and make the next smaller if it was late."""
        self._failed_at, self._cause = time.monotonic(), explain(error)
        if self._stands_since is None:
            self._stands_since = self._failed_at
        # By a large step, since each try that is still too large costs a whole time-out.
        if is_timeout(error):
            self.batch_events = max(self.batch_events // 8, 1)

    def next_back_off(self) -> float:
        """Return how many seconds to wait before the next try; each time twice as long."""
        seconds, self._back_off = self._back_off, min(2 * self._back_off, MAX_BACK_OFF_SECONDS)
        return seconds

    def look(self, places: Hashable, *, has_work: bool) -> None:
        """Compare the lanes' places with those of the last call; called at every step."""
        now = time.monotonic()
        is_quiet = not has_work and now - self._failed_at > QUIET_SECONDS
        if places != self._places or is_quiet:
            self._places, self._stands_since = places, None
        elif has_work and self._stands_since is None:
            self._stands_since = now

    def stalled(self) -> str | None:
        """Return a message if nothing has moved for STALLED_SECONDS although there is work."""
        since = self._stands_since
        seconds = 0.0 if since is None else time.monotonic() - since
        if seconds < STALLED_SECONDS:
            return None
        why = f"; the last error: {self._cause}" if self._cause else ""
        return f"The read model has not moved for {seconds:.0f} s{why}"
