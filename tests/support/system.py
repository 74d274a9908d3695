"""A system under test: the four processes over the test run's servers, each a real process."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

import asyncpg
from pymongo import MongoClient
from pymongo.database import Database

from storelog.command_service.landing import CONTENDED_SECONDS
from storelog.config import Settings
from storelog.local import priority
from storelog.local.servers import PROCESSES, is_ready
from storelog.read_side import POINTER_ID, POINTERS, database_name, read_pointer
from support.http import Client, Reply

READY_SECONDS = 60.0
WRONG_CLOCK = Path(__file__).parent / "wrong_clock.py"
PROJECTED_SECONDS = 60.0
STOP_SECONDS = 20.0
# No server is there (RFC 5737): so no Command Service leads, and each decides for itself.
NOBODY_LEADS = "192.0.2.1"
CAKE_STAND = {"name": "Cake stand", "price": "12.75", "stock": 10}
ANN = {"name": "Ann Miller", "email": "ann@example.com", "phoneNumber": None}


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PROJECTED_SECONDS) -> Any:
    """Return the condition's first true value; fail when it does not come in time."""
    give_up_at = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < give_up_at, f"waited {seconds} s for {what}"
        # Another process brings it about and notifies nobody: look again until the deadline.
        threading.Event().wait(0.02)


def let_contention_pass() -> None:
    """Wait until a Command Service decides ahead again, after another one has written.

    For half a second it locks the head before it decides. Time alone ends that, and nothing
    reports it.
    """
    threading.Event().wait(CONTENDED_SECONDS + 0.1)


# Below the ports that Linux gives to clients of any port: a free one stays free until it is used.
_ports = itertools.cycle(random.SystemRandom().sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """Return a port without a listener, which no other test gets soon."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always a next one")


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Wait for the end of a process that was told to stop; kill it when that does not come."""
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


class System:
    """Starts the processes; use it as a context. `settings` are complete."""

    def __init__(
        self,
        settings: Settings,
        processes: tuple[str, ...] = PROCESSES,
        environment: Mapping[str, str] | None = None,
        key: str | None = None,
        python: str = sys.executable,
        clock_seconds: float = 0.0,
        host: str = "127.0.0.1",
    ) -> None:
        """`clock_seconds`: how far the processes' wall clock is ahead of this machine's.

        `host`: the address on which they listen.
        """
        self._host = host
        self._clock_seconds = clock_seconds
        self._python = python
        self._ports = {name: free_port() for name in PROCESSES}
        shown = f"[{host}]" if ":" in host else host
        urls = {name: f"http://{shown}:{port}" for name, port in self._ports.items()}
        self.settings = replace(
            settings, command_url=urls["command-service"], query_url=urls["query-service"]
        )
        self._urls = urls
        self._names = processes
        self.environment_more = dict(environment or {})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._home = Path(tempfile.mkdtemp(prefix="storelog-system-"))
        self.commands = Client(urls["command-service"], key)
        self.queries = Client(urls["query-service"], key)
        self._mongo: MongoClient[dict[str, Any]] | None = None

    def __enter__(self) -> Self:
        try:
            for name in self._names:
                self.start(name)
            for name in self._names:
                self.wait_ready(name)
        except BaseException:
            # What does not get ready is not left running beside the tests after it.
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        late = [name for name, process in self._processes.items() if not _has_ended(process)]
        if self._mongo is not None:
            self._mongo.close()
        assert not late, f"{late} had to be killed: they did not end in {STOP_SECONDS} s"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process of this system."""
        named = {
            f"STORELOG_{entry.name.upper()}": str(getattr(self.settings, entry.name))
            for entry in fields(self.settings)
            if isinstance(getattr(self.settings, entry.name), str | int)
        }
        return {
            **os.environ,
            **named,
            "STORELOG_DATA_DIR": str(self._home),
            **self.environment_more,
        }

    @property
    def _program(self) -> list[str]:
        if self._clock_seconds:
            return [self._python, str(WRONG_CLOCK), str(self._clock_seconds)]
        return [self._python, "-m", "storelog"]

    def launcher(self) -> Iterable[str]:
        """Return what stands before the program of each process."""
        return ()

    def start(self, name: str) -> None:
        argv = [*self.launcher(), *self._program, name]
        argv += ["--host", self._host, "--port", str(self._ports[name])]
        with (self._home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                argv,
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,
            )
        if name == "projector":
            priority.lower(self._processes[name].pid)

    def wait_ready(self, name: str) -> None:
        def ready() -> bool:
            assert self._processes[name].poll() is None, f"{name} ended: {self.log(name)}"
            return is_ready(self._urls[name])

        wait_for(ready, f"{name}: {self.log(name)}", READY_SECONDS)

    def log_path(self, name: str) -> Path:
        return self._home / f"{name}.log"

    def log(self, name: str) -> str:
        return self.log_path(name).read_text("utf-8")[-3000:]

    def log_lines(self, name: str) -> list[str]:
        """Everything that the process has logged."""
        return (self._home / f"{name}.log").read_text("utf-8").splitlines()

    def url(self, name: str) -> str:
        """Where the process listens."""
        return self._urls[name]

    def pids(self) -> dict[str, int]:
        """Return the ids of the processes that run, by name."""
        running = self._processes.items()
        return {name: process.pid for name, process in running if process.poll() is None}

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def signal(self, name: str, number: signal.Signals) -> None:
        self._processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self._processes[name].wait(10)

    def exit_code(self, name: str, seconds: float = 30.0) -> int:
        return self._processes[name].wait(seconds)

    def cli(
        self, *argv: str, seconds: float = 300.0, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of the command line against this system."""
        return subprocess.run(
            [*self._program, *argv],
            env={**self.environment, **(environment or {})},
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    @property
    def mongo(self) -> Database[dict[str, Any]]:
        if self._mongo is None:
            self._mongo = MongoClient(self.settings.mongodb_uri, tz_aware=True)
        home = self._mongo[database_name(self.settings)]
        pointer = read_pointer(home[POINTERS].find_one({"_id": POINTER_ID}), home.name)
        return self._mongo[pointer.database]

    def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """Run one statement in PostgreSQL and return its rows."""

        async def run() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(self.settings.postgres_url, timeout=10)
            try:
                return [dict(row) for row in await connection.fetch(statement, *arguments)]
            finally:
                await connection.close()

        return asyncio.run(run())

    def written(self) -> int:
        return int(self.sql("SELECT position FROM log_head")[0]["position"])

    def wait_projected(self, position: int | None = None) -> None:
        """Wait until the read model holds everything up to the position (default: all)."""
        target = self.written() if position is None else position

        def is_there() -> bool:
            # On a busy machine a read may find no place, or no server in time: it is not there yet.
            reply = self.queries.get("/analytics/total-sales")
            return reply.status == 200 and reply.position >= target

        wait_for(is_there, f"position {target}; the projector said {self.log('projector')}")

    def new_customer(self, **changes: Any) -> dict[str, Any]:
        return self._made(self.commands.post("/customers", ANN | changes))

    def new_product(self, **changes: Any) -> dict[str, Any]:
        return self._made(self.commands.post("/products", CAKE_STAND | changes))

    def new_order(self, customer: int, *lines: tuple[int, int]) -> dict[str, Any]:
        items = [{"productId": product, "quantity": quantity} for product, quantity in lines]
        return self._made(
            self.commands.post("/orders", {"customerId": customer, "orderItems": items})
        )

    def _made(self, reply: Reply) -> dict[str, Any]:
        assert reply.status == 201, reply.raw
        made: dict[str, Any] = reply.json
        return made


def trade(system: System) -> None:
    """Write a log with every kind of event."""
    customers = [system.new_customer()["customerId"] for _ in range(4)]
    products = [system.new_product(stock=100)["productId"] for _ in range(4)]
    orders = []
    for number in range(24):
        lines = [(products[number % 4], 1), (products[(number + 1) % 4], 2)]
        orders.append(system.new_order(customers[number % 4], *lines)["orderId"])
    for order in orders[::5]:
        system.commands.delete(f"/orders/{order}")
    system.commands.put(f"/products/{products[0]}", {"name": "New", "price": "1"})
    system.commands.put(f"/customers/{customers[0]}", {"name": "New", "email": "a@b"})
    system.commands.delete(f"/products/{products[1]}")
    system.commands.delete(f"/customers/{customers[1]}")
