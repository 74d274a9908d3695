"""Under `storelog up`: logs that do not grow for ever; `make up` and ports that are in use."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from storelog.local import program
from storelog.local.program import Program
from support.system import wait_for

ROOT = Path(__file__).parents[2]
# It stays until a signal ends it; should the test be gone, its own alarm does.
TALK = "import signal; signal.alarm(60); [print(n, flush=True) for n in iter(int, 1)]"


def test_the_log_of_what_runs_begins_anew_before_it_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "MAX_LOG_BYTES", 10_000)
    log = tmp_path / "talker.log"
    talker = Program("talker", [sys.executable, "-c", TALK], log, lambda: True)
    talker.start()
    try:

        def is_rotated() -> bool:
            assert not talker.look(), talker.last_words()
            return log.with_suffix(".old").is_file()

        wait_for(is_rotated, "a second file", 20)
        wait_for(lambda: log.stat().st_size > 100, "it to go on", 20)
    finally:
        talker.process.kill()  # type: ignore[union-attr]
        talker.wait_stopped()
    assert log.with_suffix(".old").read_bytes().startswith(b"0\n")
    assert log.read_bytes().strip(b"0\n") == b""


def test_a_log_that_is_too_long_makes_room_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(_: Path, to: Path) -> None:
        to.write_bytes(b"0")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(program, "MAX_LOG_BYTES", 100)
    monkeypatch.setattr(shutil, "copy", copy)
    log = tmp_path / "talker.log"
    log.write_bytes(b"0\n" * 100)
    assert program.rotate(log)
    assert not log.with_suffix(".old").exists()
    assert (
        log.read_text()
        == "the earlier content of this log could not be kept: No space left on device\n"
    )


@pytest.mark.parametrize("name", ["COMMAND_PORT", "QUERY_PORT", "RELAY_PORT", "PROJECTOR_PORT"])
def test_make_up_says_which_port_is_in_use_and_the_command_before_it_fetches_anything(
    tmp_path: Path, name: str
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "ports.py", tmp_path / "tools")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            ["make", "up", f"PYTHON={sys.executable}", f"{name}={port}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert f"storelog: port {port} is in use" in done.stderr
    assert f"{name}=" in done.stderr.partition("choose another: make up ")[2]
    assert not (tmp_path / ".venv").exists()
