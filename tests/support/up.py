"""`storelog up` as a user runs it, in a data directory of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from support.http import Client
from support.system import free_port, wait_for

UP_SECONDS = 120.0


class Up:
    """One data directory with its two ports."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._environment = {**os.environ, **(environment or {})}
        self.command_port, self.query_port = free_port(), free_port()
        self.relay_port, self.projector_port = free_port(), free_port()
        self.commands = Client(f"http://127.0.0.1:{self.command_port}")
        self.queries = Client(f"http://127.0.0.1:{self.query_port}")
        self.foreground: subprocess.Popen[str] | None = None

    @property
    def _ports(self) -> list[str]:
        return [
            *("--command-port", str(self.command_port), "--query-port", str(self.query_port)),
            *("--relay-port", str(self.relay_port), "--projector-port", str(self.projector_port)),
        ]

    def cli(self, *argv: str, seconds: float = UP_SECONDS) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "storelog", *argv, "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd="/",
            env=self._environment,
        )

    def detach(self, *more: str, seconds: float = UP_SECONDS) -> "subprocess.CompletedProcess[str]":
        return self.cli("up", "--detach", *self._ports, *more, seconds=seconds)

    def start(self) -> None:
        """Run it in the foreground until it is ready."""
        argv = [sys.executable, "-m", "storelog", "up", "--data-dir", str(self.data_dir)]
        self.foreground = subprocess.Popen(
            argv + self._ports,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=self._environment,
        )
        wait_for(lambda: self.run_file().get("state") == "ready", "up to be ready", UP_SECONDS)

    def run_file(self) -> dict[str, Any]:
        path = self.data_dir / "run.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def status(self) -> dict[str, Any]:
        return json.loads(self.cli("status", "--json").stdout)  # type: ignore[no-any-return]

    def pids(self) -> list[int]:
        """Every process that runs: `up` itself, servers, processes, and their children."""
        facts = self.run_file()
        roots = [facts["pid"]]
        roots += [entry["pid"] for entry in facts["servers"] + facts["processes"] if entry["pid"]]
        found = set(roots)
        for pid in roots:
            if psutil.pid_exists(pid):
                found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
        return sorted(found)

    def pid(self, name: str) -> int:
        facts = self.run_file()
        found: int = next(
            entry["pid"] for entry in facts["servers"] + facts["processes"] if entry["name"] == name
        )
        return found

    def close(self) -> None:
        self.cli("down")
        if self.foreground is not None:
            self.foreground.wait(60)
            assert self.foreground.stdout is not None
            self.foreground.stdout.close()


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
