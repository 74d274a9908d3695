"""Writes one batch at a time in a thread of its own, which mostly waits for MongoDB.

Next: projector/receive/lane.py
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class WriterThread:
    """Runs one write; the next call that waits for it raises its error."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "writing")
        self._begun: Future[None] | None = None
        self._lock = threading.RLock()

    @property
    def is_busy(self) -> bool:
        """Whether a write was begun whose end nobody has waited for."""
        return self._begun is not None

    def is_done(self, within: float | None = None) -> bool:
        """Wait `within` seconds for the write; return whether it is done. Raises its error."""
        with self._lock:
            if self._begun is not None:
                done, _ = wait([self._begun], within)
                if not done:
                    return False
                begun, self._begun = self._begun, None
                begun.result()
            return True

    def begin(self, write: Callable[[], None]) -> None:
        """Begin a write once the one before is done. Raises the error of that one."""
        with self._lock:
            self.is_done()
            self._begun = self._thread.submit(write)

    def end(self) -> BaseException | None:
        """Wait for the write that was begun, and return its error; no other can be begun after."""
        self._thread.shutdown()
        return None if self._begun is None else self._begun.exception()
