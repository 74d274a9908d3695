"""One program that `storelog up` runs: a server or one of the four processes.

Each runs in a session of its own, so that Ctrl-C at a terminal reaches only `up`, which then stops
everything in order. Its output goes to a file under `logs/`.
Next: local/files.py
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storelog.local import priority
from storelog.local.files import Files

STOP_SECONDS = 15.0
MAX_RESTART_WAIT_SECONDS = 5.0
MAX_LOG_BYTES = 20 * 1024 * 1024
# The command line begins its one line of error with this.
ERROR_PREFIX = "storelog: "
MAX_SAID_BYTES = 64 * 1024
MAX_WORDS_BYTES = 200


@dataclass(slots=True)
class Program:
    """A program: what to run, how to check that it is ready, how to stop it; and its state."""

    name: str
    argv: list[str]
    log_path: Path
    is_ready: Callable[[], bool]
    version: str = ""
    # Returns the reason why it is not ready, if it can tell.
    why_not_ready: Callable[[], str | None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)
    # Its working directory; None: that of `up`.
    folder: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    gives_way: bool = False
    state: str = "stopped"
    restarts: int = 0
    files: Files | None = None
    process: "subprocess.Popen[bytes] | None" = None
    start_at: float = 0.0
    log_from: int = 0
    # Its message when it must end but may not end by itself.
    broken: re.Pattern[bytes] | None = None
    _read_to: int = 0

    @property
    def pid(self) -> int | None:
        """The running process's id."""
        return None if self.process is None else self.process.pid

    def start(self) -> None:
        """Start the program; its output goes to its log."""
        rotate(self.log_path)
        with self.log_path.open("ab") as log:
            self.log_from = self._read_to = log.tell()
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                cwd=self.folder,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
                start_new_session=True,
            )
        if self.gives_way:
            priority.lower(self.process.pid)
        self.state = "starting"

    def look(self) -> bool:
        """Update `state`; return whether the program has just ended."""
        if self.process is None:
            return False
        self.end_if_broken()
        if rotate(self.log_path):
            self.log_from = self._read_to = 0
        if self.process.poll() is None:
            if self.state == "starting" and self.is_ready():
                self.state = "ready"
            return False
        self.state = "failed"
        return True

    def end_if_broken(self) -> bool:
        """Kill it if its log says that it must end; return whether it did. Call it regularly."""
        if self.broken is None or self.process is None:
            return False
        with self.log_path.open("rb") as log:
            log.seek(self._read_to)
            output = log.read(MAX_SAID_BYTES)
        # Read the end again next time, since the message may arrive in two pieces.
        self._read_to += max(0, len(output) - MAX_WORDS_BYTES)
        if not self.broken.search(output):
            return False
        self.process.kill()
        return True

    def schedule_restart(self) -> int | None:
        """Plan the next start, later each time; return the exit code of the last run."""
        code = None if self.process is None else self.process.returncode
        self.process = None
        # A program that fails at its start must not keep the machine busy.
        wait = min(0.2 * 2.0 ** min(self.restarts, 10), MAX_RESTART_WAIT_SECONDS)
        self.start_at = time.monotonic() + wait
        self.restarts += 1
        return code

    def set_bad_files_aside(self) -> str | None:
        """Move away files that the program could not open; return a message if that was done.

        Call it once after each end of the program, before the next start.
        """
        if self.files is None:
            return None
        with self.log_path.open("rb") as log:
            log.seek(self.log_from)
            output = log.read(MAX_SAID_BYTES).decode("utf-8", "replace")
        kept = self.files.set_aside_after(output)
        if kept is None:
            return None
        return (
            f"{self.name} cannot open its files: they are kept in {kept}; it starts empty, and the"
            " projector fills it again from Kafka (if the number of lanes was ever raised:"
            " `storelog rebuild --promote`)"
        )

    def ask_to_stop(self) -> None:
        """Send the stop signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def wait_stopped(self) -> None:
        """Wait for the end, at most STOP_SECONDS, then kill."""
        if self.process is not None:
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(STOP_SECONDS)
        self.process = None
        self.state = "stopped"

    def last_words(self) -> str:
        """Return the last lines of the log."""
        try:
            lines = self.log_path.read_text("utf-8", "replace").strip().splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(f"  {line}" for line in lines[-5:])

    def error(self) -> str | None:
        """Return the error with which the last run ended, if it was a process of Storelog's."""
        return last_error(self.log_path, self.log_from)

    def facts(self) -> dict[str, Any]:
        """Return what `storelog status` shows."""
        return {
            "name": self.name,
            "version": self.version,
            "pid": self.pid,
            "state": self.state,
            "restarts": self.restarts,
        }


def rotate(log_path: Path) -> bool:
    """Empty a log that has grown too long, and keep its content as `.old`; tell whether.

    Its writer appends, and so continues at the new beginning; lines written during the copy may be
    lost. If the disk has no room for the copy, the log says that its content was lost.
    """
    if not log_path.is_file() or log_path.stat().st_size <= MAX_LOG_BYTES:
        return False
    old = log_path.with_suffix(".old")
    lost = None
    try:
        shutil.copy(log_path, old)
    except OSError as error:
        old.unlink(missing_ok=True)
        lost = error.strerror
    os.truncate(log_path, 0)
    if lost is not None:
        with log_path.open("a") as log:
            log.write(f"the earlier content of this log could not be kept: {lost}\n")
    return True


def last_error(log_path: Path, log_from: int = 0) -> str | None:
    """Return the last error in a Storelog process's log, from byte `log_from` on."""
    try:
        with log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(log_from, size - MAX_SAID_BYTES))
            output = log.read(MAX_SAID_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    errors = [line for line in output.splitlines() if line.startswith(ERROR_PREFIX)]
    return errors[-1].removeprefix(ERROR_PREFIX) if errors else None
