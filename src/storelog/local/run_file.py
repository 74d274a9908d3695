"""What a running `storelog up` writes about itself: `run.json` in the data directory, and its lock.

The lock (on `up.lock`) is held as long as `up` lives, however it ends; so a `run.json` that kill -9
leaves behind is ignored.
Next: local/supervisor.py
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

from storelog.config import Settings
from storelog.errors import BadUse
from storelog.running import LOCK_FILE, RUN_FILE, is_running

LOCK_SECONDS = 1.0
# PostgreSQL allows 1,023 bytes with its own files' names, the system 4,095 with Kafka's.
MAX_NAME_BYTES = 800


def check_name(data_dir: Path) -> str | None:
    """Return why a server could not keep its data there; None if all can."""
    try:
        name = str(data_dir).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(name) > MAX_NAME_BYTES:
        return f"its name has {len(name)} bytes, more than {MAX_NAME_BYTES}"
    return None if str(data_dir).isprintable() else "its name has a control character"


def make(data_dir: Path) -> None:
    """Create the data directory with its folder of logs. Raises BadUse."""
    why = check_name(data_dir)
    if why is None:
        try:
            (data_dir / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror
    if why is not None:
        named = str(data_dir) if str(data_dir).isprintable() else ascii(str(data_dir))
        raise BadUse(f"--data-dir {named} cannot be used: {why}")


def lock(data_dir: Path) -> IO[str]:
    """Create the data directory, and lock it until this process ends. Raises BadUse."""
    make(data_dir)
    try:
        held = (data_dir / LOCK_FILE).open("w")
    except OSError as error:
        raise BadUse(f"--data-dir {data_dir} cannot be used: {error.strerror}") from error
    give_up_at = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return held
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                held.close()
                raise BadUse(
                    f"a `storelog up` already runs on {data_dir}: see `storelog status`"
                ) from None
            # A file lock has no time-out of its own, so try again until the deadline.
            threading.Event().wait(0.05)


def write(data_dir: Path, facts: Mapping[str, Any]) -> None:
    """Replace `run.json` in one step; others on this machine cannot read it."""
    unfinished = data_dir / f"{RUN_FILE}.new"
    # The addresses in it may contain passwords.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(facts, file, indent=1)
    unfinished.replace(data_dir / RUN_FILE)


def read(data_dir: Path) -> dict[str, Any] | None:
    """Return what the running `up` wrote; None if none runs."""
    if not is_running(data_dir):
        return None
    try:
        facts: dict[str, Any] = json.loads((data_dir / RUN_FILE).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return facts


def versions(data_dir: Path) -> dict[str, str]:
    """Return the versions of the servers that the running `up` has started, by name."""
    servers = (read(data_dir) or {}).get("servers", [])
    return {server["name"]: server["version"] for server in servers if server["version"]}


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the addresses among the settings as environment variables for a child process."""
    named = ("_url", "_uri", "_servers")
    found = {}
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if entry.name.endswith(named) and value is not None:
            found[f"STORELOG_{entry.name.upper()}"] = str(value)
            if entry.metadata["is_secret"]:
                # The child has the value, so it must not read the file as well.
                found[f"STORELOG_{entry.name.upper()}_FILE"] = ""
    return found
