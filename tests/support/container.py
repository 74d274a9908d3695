"""Processes as in a container: each the first of its own, as nobody, on a read-only root."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from support.system import System

USER = 10_001
DESCRIPTORS = 256
SECONDS = 30.0
_ENTER = f'mount -o remount,bind,ro / && ulimit -n {DESCRIPTORS} && exec "$@"'


def launcher() -> list[str]:
    """Return what stands before a program so that it runs as in a container.

    Root lets it run as another user; others are root of a namespace of their own.
    """
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    spaces = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    argv = ["unshare", *own, *spaces, "sh", "-c", _ENTER, "sh"]
    if os.geteuid() == 0:
        user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        argv += ["setpriv", *user, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    return argv


def why_not() -> str | None:
    """Return why no program can be run so on this machine, None where one can."""
    argv = [*launcher(), sys.executable, "-c", "import storelog"]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=SECONDS, cwd="/", check=False
        )
    except OSError as error:
        return f"there is no {error.filename}"
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"this machine does not let it: {said[-1]}" if done.returncode else None


def first_process(launched: int) -> int:
    """Return the id, as we see it, of the first process of the launched container."""
    return int(Path(f"/proc/{launched}/task/{launched}/children").read_text().split()[0])


class Contained(System):
    """A system whose processes run in containers; a signal goes to their first process."""

    @property
    def environment(self) -> dict[str, str]:
        # Nobody's, as container engines have it.
        return {**super().environment, "HOME": "/"}

    def launcher(self) -> Iterable[str]:
        # For nobody, too, to start in.
        self._home.chmod(0o755)
        return launcher()

    def pid(self, name: str) -> int:
        return first_process(super().pid(name))

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.pid(name), number)

    def __exit__(self, *_: object) -> None:
        # What started them lets no signal through.
        for name in self.pids():
            with suppress(ProcessLookupError, IndexError):
                self.signal(name, signal.SIGTERM)
        super().__exit__()
