"""What commands print: exact times, every locale, closed outputs, directories and servers amiss."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from storelog.config import Settings
from support.cli import run
from support.system import System


def run_with(shop: System, *argv: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return run(*argv, **(shop.environment | environment))


def test_events_have_times_of_three_decimals(shop: System) -> None:
    position = shop.commands.post("/customers", {"name": "A", "email": "a@b"}).position
    done = shop.cli("events", "--after", str(position - 1), "--limit", "1")
    event = json.loads(done.stdout)
    served = shop.commands.get(f"/events?after={position - 1}&limit=1").json["items"][0]
    for name in ("occurredAt", "recordedAt"):
        assert re.fullmatch(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z", event[name])
        assert event[name] == served[name]
    assert event["payload"] == served["payload"]


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}]
)
def test_what_the_output_cannot_show_is_escaped(shop: System, locale: dict[str, str]) -> None:
    name = "S\u00f8ren \u82f9\u679c \U0001f600"
    position = shop.commands.post("/customers", {"name": name, "email": "a@b"}).position
    only = {"PYTHONUTF8": "0", **locale}
    done = run_with(shop, "events", "--after", str(position - 1), "--limit", "1", **only)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["payload"]["name"] == name
    named = run_with(shop, "events", "--aggregate", name, **only)
    assert (named.returncode, named.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize("command", ["events", "config", "keys list", "lag --json", "--version"])
def test_a_closed_output_ends_a_command_without_a_word(shop: System, command: str) -> None:
    shop.new_customer()
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [sys.executable, "-m", "storelog", *command.split()],
        env=shop.environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd="/",
    ) as running:
        os.close(writer)
        _, said = running.communicate(timeout=120)
    assert (running.returncode, said) == (0, b"")


def test_a_data_directory_that_cannot_be_used_is_bad_use(tmp_path: Path) -> None:
    plain = tmp_path / "file"
    plain.touch()
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    for path in (plain, plain / "below", Path("/dev/null/x"), Path("/proc/x"), circle,
                 tmp_path / ("x" * 300)):  # fmt: skip
        for more in ((), ("--detach",)):
            done = run("up", "--data-dir", str(path), *more)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
            assert done.stderr.startswith(f"storelog: --data-dir {path} cannot be used: ")


@pytest.mark.skipif(
    not Path("/dev/full").exists(),
    reason="this system has no /dev/full, the device on which every write fails",
)
def test_an_output_without_room_is_one_line() -> None:
    for argv in (["config"], ["--version"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "storelog", *argv],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
        assert (done.returncode, done.stderr) == (3, "storelog: No space left on device\n")


def test_an_output_that_is_closed_from_the_start_is_none() -> None:
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m storelog config --json >&-",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_empty_list_of_keys_says_so(settings: Settings) -> None:
    done = run("keys", "list", STORELOG_POSTGRES_URL=str(settings.postgres_url))
    assert (done.returncode, done.stderr) == (0, "")
    assert "no key was ever created" in done.stdout
    listed = run("keys", "list", "--json", STORELOG_POSTGRES_URL=str(settings.postgres_url))
    assert json.loads(listed.stdout) == {"keys": []}
