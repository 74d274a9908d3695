"""Prints in the terminal of `storelog up` what the read side lacks, and the command that fixes it.

It checks regularly, in a thread of its own, and prints each trouble once until it is over.
Next: lag.py
"""

import asyncio
import threading
from collections.abc import Callable

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.lag import Lag, read_lag

LOOK_SECONDS = 10.0
DEAD_LETTERS = "`storelog dead-letters list` shows why, `retry` and `discard` settle them"
LOG_BEHIND = "log behind"
RECOVER = (
    "it has failed over to a server that lacked commits, or was restored to an earlier time; let"
    " the server lead that has them, or run `storelog recover`"
)
FOREIGN = (
    "`storelog dead-letters list` shows them, `storelog dead-letters discard --foreign` discards"
    " them; stop their writer, or use another STORELOG_KAFKA_TOPIC_PREFIX"
)


def troubles(lag: Lag) -> dict[str, str]:
    """Return the read side's troubles by kind: what it lacks, and what to do."""
    found = {}
    if lag.is_log_behind:
        found[LOG_BEHIND] = (
            f"PostgreSQL lacks events that were sent or projected ({lag.events_ahead:,} beyond its"
            f" position {lag.written:,}): {RECOVER}"
        )
    if lag.dead_letters:
        found["dead letters"] = (
            f"{lag.dead_letters:,} events are not in the read model: {DEAD_LETTERS}"
        )
    if lag.foreign:
        found["foreign records"] = (
            f"{lag.foreign:,} records on Kafka's topics are not this log's: {FOREIGN}"
        )
    return found


class ReadSideWatch:
    """Checks until `stop` is set."""

    def __init__(
        self, settings: Settings, say: Callable[[str], None], stop: threading.Event
    ) -> None:
        self._settings = settings
        self._say = say
        self._stop = stop
        self._said: set[str] = set()

    def start(self) -> None:
        """Check in the background; the thread does not delay the end of the process."""
        threading.Thread(target=self._run, name="read side watch", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                lag = asyncio.run(read_lag(self._settings))
            except CannotRun:
                # The supervisor, or the server's own log, tells that a server is away.
                continue
            self.look(lag)

    def look(self, lag: Lag) -> None:
        """Print the troubles that are new."""
        found = troubles(lag)
        # A trouble that is over and comes back is printed again.
        for kind in sorted(found.keys() - self._said):
            self._say(found[kind])
        self._said = set(found)
