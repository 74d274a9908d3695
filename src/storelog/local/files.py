"""Moves files that an embedded server cannot open out of its way, so that it starts empty.

Only for data that can be rebuilt from the log: SecantusDB, killed with -9 while it creates a table,
leaves half a table, which it cannot use, or it does not even start. Files that may hold documents
are kept under another name; any other reason why a server does not start (a full disk, a lock,
missing rights) changes nothing.
Next: local/supervisor.py
"""

import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

TRIES = 2


@dataclass(slots=True)
class Files:
    """A server's folder, how its document files are named, its message if it cannot open them."""

    folder: Path
    documents: str
    unreadable: re.Pattern[str]
    _tries: int = field(default=0, init=False)
    _was_set_aside: bool = field(default=False, init=False)

    @property
    def _mark(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.started")

    def has_started(self) -> None:
        """Record that the server has started on these files, so that they are never cleared."""
        self._mark.touch()

    def clear_unfinished(self) -> None:
        """Remove what an interrupted first start left: no document was written to it."""
        if not self._mark.exists() and not any(self.folder.glob(self.documents)):
            shutil.rmtree(self.folder)
            self.folder.mkdir()

    def set_aside_after(self, output: str) -> Path | None:
        """Read the output of a run that ended; return where the files were moved, if they were.

        They are moved after TRIES runs in a row could not open them. If the server then fails on
        an empty folder, the files were not the cause, so they are not moved again.
        """
        self.clear_unfinished()
        if not self.unreadable.search(output):
            self._tries, self._was_set_aside = 0, False
            return None
        self._tries += 1
        if self._tries < TRIES or self._was_set_aside:
            return None
        kept = self.folder.with_name(f"{self.folder.name}-set-aside-{_now()}")
        self.folder.rename(kept)
        self.folder.mkdir()
        self._mark.unlink(missing_ok=True)
        self._tries, self._was_set_aside = 0, True
        return kept


def _now() -> str:
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime())
