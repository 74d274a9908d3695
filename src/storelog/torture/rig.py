"""The system under torture: embedded servers, wires in front of them, and twins of each process.

A keeper restarts what dies, unless a fault holds it down. Nothing outlives the rig: the watchdog
ends everything if the rig itself is killed.
Next: torture/faults/__init__.py
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import asyncpg
import psutil

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.local import kafka, mongodb, postgres, run_file
from storelog.local.ports import HOST, kept_ports
from storelog.local.program import Program
from storelog.local.servers import is_live
from storelog.local.watchdog import Watchdog
from storelog.server_setup import set_up_servers
from storelog.torture.checks.endings import Ending
from storelog.torture.disks import Disks
from storelog.torture.wire import Wire

SERVERS = ("postgresql", "kafka", "mongodb")
# Two of each that takes over from a twin. Query Services have no state, so one is enough.
TWINS = {"command-service": 2, "relay": 2, "projector": 2, "query-service": 1}
PROCESSES = tuple(f"{name}-{n + 1}" for name, count in TWINS.items() for n in range(count))
READY_SECONDS = 120.0
TICK_SECONDS = 0.05
RESTART_SECONDS = 0.5


class Rig:
    """A context manager: everything runs inside, and nothing afterwards.

    `disks`: the servers' own disks, if any; the rig removes them.
    """

    def __init__(self, home: Path, disks: Disks | None = None) -> None:
        self.home, self.disks = home, disks
        self._wires = ExitStack()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._lock = threading.RLock()
        self._held: Counter[str] = Counter()
        self._closing = threading.Event()
        self.programs: dict[str, Program] = {}
        self.wires: dict[str, Wire] = {}
        self.kills: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self.own_endings: list[Ending] = []
        self.settings = Settings()
        self.command_urls: list[str] = []
        self.query_url = ""

    def __enter__(self) -> Self:
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        self._watchdog = Watchdog()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for names in (PROCESSES, SERVERS):
            running = [self.programs[name] for name in names if name in self.programs]
            for program in running:
                # A paused process cannot react to the request to stop.
                self._signal(program, signal.SIGCONT)
                program.ask_to_stop()
            for program in running:
                pid = program.pid
                program.wait_stopped()
                self._watchdog.forget(pid or 0)
        self._wires.close()
        self._watchdog.close()
        if self.disks is not None:
            self.disks.close()

    def _start(self) -> None:
        ports = kept_ports(self.home, (*SERVERS, "kafka_controller", *PROCESSES))
        self._open_wires(ports)
        self.makers: dict[str, Callable[[], Program]] = {
            "postgresql": lambda: postgres.program(self.home, ports["postgresql"]),
            "kafka": lambda: kafka.program(
                self.home, ports["kafka"], ports["kafka_controller"], self.wires["kafka"].port
            ),
            "mongodb": lambda: mongodb.program(self.home, ports["mongodb"]),
        }
        for name in SERVERS:
            self._launch(name, self.makers[name]())
        self._keeper.start()
        self.wait_ready(SERVERS)
        self.settings = self._settings_through(ports, None)
        asyncio.run(set_up_servers(self.settings))
        for name in PROCESSES:
            self._launch(name, self._process(name, ports))
        self.command_urls = [_url(ports, name) for name in PROCESSES if "command" in name]
        self.query_url = _url(ports, "query-service-1")
        self.wait_ready(PROCESSES)

    def _set_up_again(self) -> None:
        """Set up a server that starts empty, as `storelog up` would."""
        give_up_at = time.monotonic() + READY_SECONDS
        while not self._closing.wait(TICK_SECONDS) and time.monotonic() < give_up_at:
            with suppress(CannotRun, OSError, asyncpg.PostgresError):
                asyncio.run(set_up_servers(self.settings))
                return

    def _open_wires(self, ports: dict[str, int]) -> None:
        """Open a wire from each process to each of its servers.

        Kafka has one wire for all of them, since it announces one address to its clients.
        """
        for name, server in (
            ("command-service-postgresql", "postgresql"),
            ("relay-postgresql", "postgresql"),
            ("kafka", "kafka"),
            ("projector-mongodb", "mongodb"),
            ("query-service-mongodb", "mongodb"),
        ):
            self.wires[name] = self._wires.enter_context(Wire(HOST, ports[server]))

    def _settings_through(self, ports: dict[str, int], process: str | None) -> Settings:
        """Return settings with the addresses of the process's wires, None: of the servers."""

        def port(server: str) -> int:
            wire = self.wires.get("kafka" if server == "kafka" else f"{process}-{server}")
            return ports[server] if wire is None or process is None else wire.port

        return replace(
            Settings(),
            postgres_url=postgres.url(port("postgresql")),
            kafka_bootstrap_servers=f"{HOST}:{port('kafka')}",
            mongodb_uri=mongodb.url(port("mongodb")),
            command_url=_url(ports, "command-service-1"),
            query_url=_url(ports, "query-service-1"),
        )

    def _process(self, name: str, ports: dict[str, int]) -> Program:
        kind = name.rpartition("-")[0]
        argv = [sys.executable, "-m", "storelog", kind, "--data-dir", str(self.home)]
        url = _url(ports, name)
        return Program(
            name,
            [*argv, "--port", str(ports[name])],
            self.home / "logs" / f"{name}.log",
            lambda: is_live(url),
            # The keys of the user's own system must not apply here.
            environment={
                **run_file.as_environment(self._settings_through(ports, kind)),
                "STORELOG_API_KEYS": "",
            },
        )

    def _launch(self, name: str, program: Program) -> None:
        with self._lock:
            self.programs[name] = program
            program.start()
            assert program.pid is not None
            self._watchdog.guard(program.pid, program.stop_signal)

    def _keep(self) -> None:
        """Restart what has ended, after a moment, unless a fault holds it down."""
        while not self._closing.wait(TICK_SECONDS):
            for name, program in list(self.programs.items()):
                with self._lock:
                    self._look_after(name, program)

    def _look_after(self, name: str, program: Program) -> None:
        pid = program.pid
        if program.end_if_broken():
            self.endings[f"{name} broken, so that it had to be ended"] += 1
        if program.process is not None and program.process.poll() is not None:
            code = program.process.returncode
            self._watchdog.forget(pid or 0)
            program.process, program.state = None, "failed"
            program.start_at = time.monotonic() + RESTART_SECONDS
            # SIGKILL comes from the kit. Any other end is one that a user would see, too.
            if code != -signal.SIGKILL and not self._held[name]:
                self.endings[f"{name} by itself, exit {code}"] += 1
                if name in PROCESSES:
                    said = program.error() or program.last_words()
                    self.own_endings.append(Ending(name, code, said))
            if program.set_bad_files_aside():
                self.endings[f"{name} with files that it cannot open, set aside"] += 1
                threading.Thread(target=self._set_up_again, daemon=True).start()
        down = program.process is None and not self._held[name] and not self._closing.is_set()
        if down and time.monotonic() >= program.start_at:
            self._launch(name, program)

    def wait_ready(self, names: Sequence[str], seconds: float = READY_SECONDS) -> None:
        """Wait until all of them are ready. Raises CannotRun if one does not get ready."""
        give_up_at = time.monotonic() + seconds
        for name in names:
            while not self._is_ready(name):
                if time.monotonic() > give_up_at or self._closing.is_set():
                    words = self.programs[name].last_words()
                    raise CannotRun(f"{name} does not get ready; it said:\n{words}")
                self._closing.wait(TICK_SECONDS)

    def _is_ready(self, name: str) -> bool:
        program = self.programs[name]
        return program.process is not None and program.is_ready()

    def kill(self, *names: str) -> None:
        """Send SIGKILL to all at once, and to the children of servers; the keeper restarts them."""
        with self._lock:
            for name in names:
                if self.programs[name].process is not None:
                    self.kills[name] += 1
                self._signal(self.programs[name], signal.SIGKILL)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a running process."""
        with self._lock:
            self._signal(self.programs[name], number)

    def _signal(self, program: Program, number: signal.Signals) -> None:
        if program.process is None or program.process.poll() is not None:
            return
        pid = program.process.pid
        # PostgreSQL's backends would go on writing for a moment without their parent.
        children = _children(pid) if number == signal.SIGKILL else []
        for each in (pid, *children):
            _send(each, number)

    @contextmanager
    def held_down(self, *names: str) -> Iterator[None]:
        """Do not restart these programs inside the context; afterwards the keeper does."""
        with self._lock:
            self._held.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._held.subtract(names)

    def wait_ended(self, name: str, seconds: float = 30.0) -> int | None:
        """Wait until the keeper has seen the end of a held program. Raises CannotRun."""
        process = self.programs[name].process
        give_up_at = time.monotonic() + seconds
        while self.programs[name].process is process and process is not None:
            if time.monotonic() > give_up_at:
                raise CannotRun(f"{name} does not end")
            self._closing.wait(TICK_SECONDS)
        return None if process is None else process.returncode

    def repair(self) -> None:
        """Repair every wire and resume every paused program."""
        for wire in self.wires.values():
            wire.repair()
        for name in self.programs:
            self.send(name, signal.SIGCONT)


def _url(ports: dict[str, int], name: str) -> str:
    return f"http://{HOST}:{ports[name]}"


def _children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
