"""Tells whether MongoDB still holds what a lane was loaded from, before anything is written to it.

A server can come back empty or from an older copy without an error: the driver opens a new
connection by itself. What is folded onto documents of another time would be wrong for ever, so the
lane's checkpoint is looked at again whenever the last answer is older than a server could be
exchanged in; and now and then while nothing is to be written, so that a quiet lane heals too.
Next: projector/writer.py
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.database import Database

from storelog.projector.checkpoints import Checkpoint, Fenced, load

SURE_SECONDS = 0.5
IDLE_SECONDS = 2.0


class Footing:
    """What one lane stands on; `checkpoint` gives the one that the lane last loaded or saved."""

    def __init__(
        self, database: Database[dict[str, Any]], checkpoint: Callable[[], Checkpoint]
    ) -> None:
        self._database = database
        self._checkpoint = checkpoint
        self._sure_at = time.monotonic()

    def hold(self, within: float = SURE_SECONDS) -> None:
        """Look at the checkpoint, unless `within` seconds ago. Raises Fenced and PyMongoError."""
        now = time.monotonic()
        if now - self._sure_at <= within:
            return
        known = self._checkpoint()
        found = load(self._database, known.lane)
        if (found.position, found.safe, found.hash) != (known.position, known.safe, known.hash):
            raise Fenced(f"lane {known.lane} is at {found.position}, not at {known.position}")
        self._sure_at = now

    @contextmanager
    def step(self) -> Iterator[None]:
        """Surround one write: a quick answer comes from the server that was looked at."""
        self.hold()
        began = time.monotonic()
        yield
        now = time.monotonic()
        if now - began < SURE_SECONDS:
            self._sure_at = now
