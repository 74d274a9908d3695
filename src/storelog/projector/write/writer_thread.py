"""Writes one batch at a time in a thread of its own, mostly waiting for the server.

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
        """Whether something was begun that was not waited for."""
        return self._begun is not None

    def is_done(self, within: float | None = None) -> bool:
        """Wait so many seconds for what was begun; return whether it is done. Raises its error."""
        with self._lock:
            if self._begun is not None:
                done, _ = wait([self._begun], within)
                if not done:
                    return False
                begun, self._begun = self._begun, None
                begun.result()
            return True

    def begin(self, write: Callable[[], None]) -> None:
        """Begin to write, once what was begun before is done. Raises the error of that."""
        with self._lock:
            self.is_done()
            self._begun = self._thread.submit(write)

    def end(self) -> BaseException | None:
        """Wait for what was begun, and return its error; nothing can be begun after that."""
        self._thread.shutdown()
        return None if self._begun is None else self._begun.exception()
