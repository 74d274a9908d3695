"""`storelog down`: stops what `storelog up` of the data directory started."""

import os
import signal
import threading
import time
from contextlib import suppress

import psutil

from storelog.cli.options import DataDir, settings_of
from storelog.errors import CannotRun
from storelog.running import is_running

STOP_SECONDS = 60.0


def down(data_dir: DataDir = None) -> None:
    """Stop everything in order; exit 0 also if nothing runs. Example: storelog down"""
    home = settings_of(data_dir).data_dir
    from storelog.local import run_file

    facts = run_file.read(home)
    if facts is None:
        print("Nothing runs.")
        return
    # It may have ended since its file was read.
    with suppress(ProcessLookupError):
        os.kill(facts["pid"], signal.SIGTERM)
    give_up_at = time.monotonic() + STOP_SECONDS
    while is_running(home) or _lives(facts["pid"]):
        if time.monotonic() > give_up_at:
            raise CannotRun(
                f"`storelog up` (pid {facts['pid']}) did not stop in {STOP_SECONDS:.0f} s"
            )
        # Nothing reports the end of a process that is no child of this one, so look for it.
        threading.Event().wait(0.1)
    print("Stopped.")


def _lives(pid: int) -> bool:
    try:
        # A zombie has released everything; only its parent has not read its exit code yet.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
