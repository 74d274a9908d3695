"""Files that an embedded server cannot use are put out of its way; it starts on an empty folder.

Only for what can be made anew from the log: SecantusDB, killed with -9 while it makes a table,
leaves a half of it, and cannot use the table, or does not even start. What may hold documents is
kept under another name; what else keeps a server from starting (a full disk, a lock, rights)
changes nothing.
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
    """A server's folder; how its files of documents are named; its words when it cannot open it."""

    folder: Path
    documents: str
    unreadable: re.Pattern[str]
    _tries: int = field(default=0, init=False)
    _was_set_aside: bool = field(default=False, init=False)

    @property
    def _mark(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.started")

    def has_started(self) -> None:
        """Note that the server runs on these files: from now on they are not cleared."""
        self._mark.touch()

    def clear_unfinished(self) -> None:
        """Remove what a very first start left that was cut off: nobody has written to it."""
        if not self._mark.exists() and not any(self.folder.glob(self.documents)):
            shutil.rmtree(self.folder)
            self.folder.mkdir()

    def set_aside_after(self, said: str) -> Path | None:
        """Take in what a run said until it ended; return where the files were moved, if they were.

        They are moved when TRIES runs one after the other could not open them; not again before one
        could, since then they are not the cause.
        """
        self.clear_unfinished()
        if not self.unreadable.search(said):
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
