"""What a running `storelog up` writes about itself in its data directory, and whether one runs.

Next: local/run_file.py
"""

import fcntl
import json
from pathlib import Path
from typing import Any

RUN_FILE = "run.json"
LOCK_FILE = "up.lock"


def is_running(data_dir: Path) -> bool:
    """Tell whether a `storelog up` holds the data directory's lock."""
    try:
        with (data_dir / LOCK_FILE).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    # The lock was free: a run file without it is what a killed `up` left.
    return False


def running_settings(data_dir: Path) -> dict[str, Any]:
    """Return the settings that a running `storelog up` of the directory wrote, or none."""
    if not is_running(data_dir):
        return {}
    try:
        facts = json.loads((data_dir / RUN_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    settings = facts.get("settings", {})
    return settings if isinstance(settings, dict) else {}
