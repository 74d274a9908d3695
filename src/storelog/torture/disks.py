"""Small disks for the servers, so that one can be filled: a tmpfs for each, if mounts are allowed.

Next: torture/faults/disks.py
"""

import errno
import subprocess
from io import FileIO
from pathlib import Path

MEGABYTES = 320
_CHUNK = bytes(1024 * 1024)
_MOUNT_SECONDS = 20


class Disks:
    """Mounts below `home`, until `close`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._mounted: list[Path] = []

    def mount(self, names: tuple[str, ...]) -> str:
        """Give each server a disk of its own; return an error if the machine does not allow it."""
        for name in names:
            place = self._home / name
            place.mkdir(parents=True, exist_ok=True)
            options = ["-o", f"size={MEGABYTES}m,mode=0755"]
            done = _run(["mount", "-t", "tmpfs", *options, "storelog", str(place)])
            if done:
                return f"this machine does not allow mounts: {done}"
            self._mounted.append(place)
        return ""

    def close(self) -> None:
        """Remove the disks with their contents."""
        # Lazily (-l): a process that has not ended yet must not keep the mount.
        for place in self._mounted:
            _run(["umount", "-l", str(place)])
        self._mounted = []

    def fill(self, name: str) -> None:
        """Leave no space on a server's disk."""
        # First by the megabyte, then by the page, so that not even a small write fits.
        with (self._home / name / "filler").open("wb", buffering=0) as filler:
            for size in (len(_CHUNK), 4096):
                while _fits(filler, _CHUNK[:size]):
                    pass

    def empty(self, name: str) -> None:
        """Give the space back."""
        (self._home / name / "filler").unlink(missing_ok=True)


def _fits(file: FileIO, data: bytes) -> bool:
    try:
        return file.write(data) == len(data)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def _run(argv: list[str]) -> str:
    """Run a command; return its error message, empty after success."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_MOUNT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip() or f"exit {done.returncode}" if done.returncode else ""
