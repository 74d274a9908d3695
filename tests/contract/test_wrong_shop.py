"""Without an address, and with nothing running in the data directory, no command guesses one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from storelog.local import run_file

SERVICES = ("STORELOG_COMMAND_URL", "STORELOG_QUERY_URL")
POSTGRES, KAFKA = "STORELOG_POSTGRES_URL", "STORELOG_KAFKA_BOOTSTRAP_SERVERS"
MONGODB = "STORELOG_MONGODB_URI"
NEEDED: dict[str, tuple[str, ...]] = {
    "demo": SERVICES[:1],
    "events": SERVICES[:1],
    "import retail sales.csv": SERVICES,
    "lag": (POSTGRES, MONGODB),
    "verify": (POSTGRES, MONGODB),
    "migrate": (POSTGRES, KAFKA, MONGODB),
    "recover": (POSTGRES, KAFKA, MONGODB),
    "resend --from 1": (POSTGRES, KAFKA),
    "lanes show": (POSTGRES, MONGODB),
    "lanes set 6": (POSTGRES, KAFKA, MONGODB),
    "rebuild": (POSTGRES, MONGODB),
    "rebuild --from kafka": (POSTGRES, MONGODB, KAFKA),
    "rebuild --state-tables": (POSTGRES,),
    "dead-letters list": (MONGODB,),
    "dead-letters show 1": (MONGODB,),
    "dead-letters retry": (POSTGRES, MONGODB),
    "dead-letters discard 1": (MONGODB,),
    "keys list": (POSTGRES,),
    "keys create till-1 --role write": (POSTGRES,),
    "keys revoke till-1": (POSTGRES,),
    "command-service": (POSTGRES,),
    "relay": (POSTGRES, KAFKA),
    "projector": (KAFKA, MONGODB),
    "query-service": (MONGODB,),
}


def run(home: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: v for name, v in os.environ.items() if not name.startswith("STORELOG_")}
    return subprocess.run(
        [sys.executable, "-m", "storelog", *argv, "--data-dir", str(home)],
        env=clean,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )


@pytest.mark.parametrize("command", NEEDED)
def test_a_command_without_an_address_says_so_and_what_to_do(command: str, tmp_path: Path) -> None:
    done = run(tmp_path, *command.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
    assert f"nothing runs in {tmp_path}" in done.stderr
    assert f"`storelog up --data-dir {tmp_path}`" in done.stderr
    assert done.stderr.rstrip().endswith(f"or set {' and '.join(NEEDED[command])}")


def test_what_an_up_that_crashed_has_left_behind_names_no_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        url = f"http://127.0.0.1:{stranger.getsockname()[1]}"
        (tmp_path / "up.lock").touch()
        settings = {"command_url": url, "query_url": url}
        left = {"pid": 2**22 - 1, "state": "ready", "settings": settings}
        (tmp_path / "run.json").write_text(json.dumps(left))
        for command in ("demo", "events"):
            done = run(tmp_path, command)
            assert done.returncode == 3
            assert f"nothing runs in {tmp_path}" in done.stderr
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.accept()


def test_while_up_is_starting_a_command_says_to_wait(tmp_path: Path) -> None:
    with run_file.lock(tmp_path):
        done = run(tmp_path, "events")
    assert done.returncode == 3
    assert f"`storelog up` is not ready yet in {tmp_path}: wait for it" in done.stderr
