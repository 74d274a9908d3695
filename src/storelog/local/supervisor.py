"""The supervisor behind `storelog up`: starts everything in order, restarts what dies, stops it.

Everything that it starts ends with it: in order when it is asked to stop, by the watchdog within
10 s when it is killed. Every wait has a deadline.
Next: local/servers.py
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from storelog.config import Settings
from storelog.errors import BadUse, CannotRun
from storelog.local import run_file
from storelog.local.ports import is_free
from storelog.local.program import Program, rotate
from storelog.local.read_side_watch import ReadSideWatch
from storelog.local.servers import (
    PROJECTOR_PORT,
    RELAY_PORT,
    pgadmin_program,
    plan,
    processes,
)
from storelog.local.watchdog import Watchdog
from storelog.postgres import FAILURES
from storelog.running import RUN_FILE
from storelog.server_setup import set_up_servers

READY_SECONDS = 90.0
TICK_SECONDS = 0.1
GIVE_UP_AFTER = 5
PORT_FLAGS = ("--command-port", "--query-port", "--relay-port", "--projector-port")
Say = Callable[[str], None]


class Supervisor:
    """One `storelog up` on one data directory.

    `public`: environment variables with the addresses of the services for clients, if they are set.
    """

    def __init__(self, data_dir: Path, say: Say, public: Mapping[str, str] | None = None) -> None:
        self._data_dir = data_dir
        self._say = say
        self._public = public or {}
        self._stop = threading.Event()
        self._programs: list[Program] = []
        self._servers: list[Program] = []
        self._external: list[str] = []
        self._settings: Settings | None = None
        self._watchdog: Watchdog | None = None
        self._state = "starting"
        self._is_migrated = False
        self._said: dict[str, str] = {}

    def run(
        self,
        settings: Settings,
        command_port: int,
        query_port: int,
        ready: Callable[[Settings], None],
        *,
        relay_port: int = RELAY_PORT,
        projector_port: int = PROJECTOR_PORT,
        with_pgadmin: bool = False,
    ) -> None:
        """Run until SIGINT or SIGTERM; call `ready` once. Raises CannotRun and BadUse."""
        ports = dict(
            zip(PORT_FLAGS, (command_port, query_port, relay_port, projector_port), strict=True)
        )
        with run_file.lock(self._data_dir):
            for flag, port in ports.items():
                if not is_free(port):
                    raise BadUse(f"port {port} is in use: choose another with {flag}")
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self._stop.set())
            try:
                self._start(settings, *ports.values())
                if not self._stop.is_set():
                    ready(self._complete)
                if with_pgadmin and not self._stop.is_set():
                    self._start_pgadmin()
                if not self._stop.is_set():
                    self._state = "ready"
                    self._tell()
                    ReadSideWatch(self._complete, self._say, self._stop).start()
                while not self._stop.wait(TICK_SECONDS):
                    self._look_after(self._programs)
            finally:
                self._shut_down()

    @property
    def _complete(self) -> Settings:
        assert self._settings is not None
        return self._settings

    def _start(self, settings: Settings, *ports: int) -> None:
        self._say("preparing the servers")
        planned = plan(settings, self._data_dir, *ports)
        self._settings, self._external = planned.settings, planned.external
        self._servers = planned.servers
        self._watchdog = Watchdog()
        self._bring_up(planned.servers)
        if self._stop.is_set():
            return
        self._say("migrating")
        asyncio.run(self._migrate())
        self._is_migrated = True
        environment = {**run_file.as_environment(self._complete), **self._public}
        self._bring_up(processes(self._complete, self._data_dir, environment))

    def _start_pgadmin(self) -> None:
        self._say("preparing pgAdmin 4 (the first time it is fetched: some minutes, 600 MB)")
        program, address = pgadmin_program(self._complete, self._data_dir)
        self._servers = [program, *self._servers]
        self._bring_up([program])
        self._say(f"pgAdmin 4: {address}")

    async def _migrate(self) -> None:
        """Migrate; repeat it for a while if a server is still recovering."""
        give_up_at = time.monotonic() + READY_SECONDS
        while True:
            try:
                done = await set_up_servers(self._complete)
                for line in (*done.warnings, *done.advice):
                    self._say(line)
                return
            except (CannotRun, *FAILURES) as error:
                # An external server that is away may stay away: tell at once.
                is_told = bool(self._external) and not self._is_migrated
                if time.monotonic() > give_up_at or is_told:
                    raise CannotRun(f"the servers cannot be set up: {error}") from error
                await asyncio.sleep(0.5)

    def _migrate_again(self) -> None:
        """Give a server that starts empty what no process can restore, such as the keys."""
        try:
            asyncio.run(self._migrate())
        except (CannotRun, *FAILURES) as error:
            self._say(f"run `storelog migrate`: {error}")

    def _bring_up(self, programs: Sequence[Program]) -> None:
        for program in programs:
            self._say(f"starting {program.name} {program.version}".rstrip())
            self._launch(program)
        self._programs += programs
        give_up_at = time.monotonic() + READY_SECONDS
        while not all(program.state == "ready" for program in programs):
            self._look_after(self._programs)
            for program in programs:
                late = time.monotonic() > give_up_at
                if program.state != "ready" and (late or program.restarts > GIVE_UP_AFTER):
                    raise CannotRun(f"{program.name} does not get ready{why_not(program)}")
            if self._stop.wait(TICK_SECONDS):
                return

    def _launch(self, program: Program) -> None:
        program.start()
        assert self._watchdog is not None
        assert program.pid is not None
        self._watchdog.guard(program.pid, program.stop_signal)
        self._tell()

    def _look_after(self, programs: Sequence[Program]) -> None:
        rotate(self._data_dir / "logs" / "up.log")
        for program in programs:
            before = program.state
            pid = program.pid
            if program.look():
                self._forget(pid)
                code = program.schedule_restart()
                self._say(f"{program.name} ended ({_ending(code)}); restart {program.restarts}")
                self._say_error(program)
                if told := program.set_bad_files_aside():
                    self._say(told)
                    if self._is_migrated:
                        threading.Thread(target=self._migrate_again, daemon=True).start()
            if program.process is None and time.monotonic() >= program.start_at:
                self._launch(program)
            if program.state != before:
                self._tell()
                if program.state == "ready":
                    self._said.pop(program.name, None)
                if program.state == "ready" and program.restarts and self._state == "ready":
                    self._say(f"{program.name} is ready again")

    def _say_error(self, program: Program) -> None:
        """Print why it ended and what to do; the same error once until it is ready again."""
        error = program.error()
        if error is not None and self._said.get(program.name) != error:
            self._said[program.name] = error
            self._say(f"{program.name}: {error}")

    def _forget(self, pid: int | None) -> None:
        if pid is not None and self._watchdog is not None:
            self._watchdog.forget(pid)

    def _shut_down(self) -> None:
        self._state = "stopping"
        self._tell()
        for number in (signal.SIGINT, signal.SIGTERM):
            # A second Ctrl-C must not cut the shutdown short: servers would be left running.
            signal.signal(number, signal.SIG_IGN)
        workers = [program for program in self._programs if program not in self._servers]
        # First the Command Service, so that no event is added; then the workers, which pass on the
        # last events; then the servers.
        for group in (workers[:1], workers[1:], self._servers):
            for program in group:
                program.ask_to_stop()
            for program in group:
                pid = program.pid
                program.wait_stopped()
                self._forget(pid)
        if self._watchdog is not None:
            self._watchdog.close()
        with suppress(FileNotFoundError):
            (self._data_dir / RUN_FILE).unlink()

    def _tell(self) -> None:
        settings = {} if self._settings is None else asdict(self._settings)
        settings.pop("api_keys", None)
        facts: dict[str, Any] = {
            "pid": os.getpid(),
            "state": self._state,
            "settings": {n: v for n, v in settings.items() if _is_address(n) and v is not None},
            "servers": [program.facts() for program in self._servers]
            + [
                {"name": name, "version": "", "pid": None, "state": "external", "restarts": 0}
                for name in self._external
            ],
            "processes": [p.facts() for p in self._programs if p not in self._servers],
        }
        run_file.write(self._data_dir, facts)


def _is_address(name: str) -> bool:
    return name.endswith(("_url", "_uri", "_servers"))


def why_not(program: Program) -> str:
    """Return why it is not ready: its response, and the end of its log."""
    why, words = program.why_not_ready(), program.last_words()
    log_end = f"; its log ends with:\n{words}" if words else f"; {program.log_path} has nothing"
    return f": {why}{log_end}" if why else log_end


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit {code}"
