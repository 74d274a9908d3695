"""The embedded servers of a test run, and new empty systems on them."""

import asyncio
import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from storelog.config import Settings
from storelog.local import postgres
from storelog.local.program import Program
from storelog.local.servers import plan
from storelog.local.watchdog import Watchdog
from storelog.server_setup import set_up_servers
from support.system import free_port

READY_SECONDS = 90.0
_numbers = itertools.count(1)


class EmbeddedServers:
    """Starts what `storelog up` would start, without the four processes."""

    def __init__(self, home: Path) -> None:
        (home / "logs").mkdir()
        planned = plan(Settings(), home, 1, 2)
        self.settings = planned.settings
        self._programs: list[Program] = planned.servers
        self._watchdog = Watchdog()

    def start(self) -> None:
        for program in self._programs:
            _launch(program, self._watchdog)
        for program in self._programs:
            _wait_ready(program)

    def stop(self) -> None:
        for program in self._programs:
            program.ask_to_stop()
        for program in self._programs:
            program.wait_stopped()
        self._watchdog.close()

    def restart(self, name: str) -> None:
        """Start a server again that a test has killed."""
        program = next(p for p in self._programs if p.name == name)
        program.wait_stopped()
        _launch(program, self._watchdog)
        _wait_ready(program)

    def pid(self, name: str) -> int:
        pid = next(p for p in self._programs if p.name == name).pid
        assert pid is not None
        return pid


def _launch(program: Program, watchdog: Watchdog) -> None:
    program.start()
    assert program.pid is not None
    watchdog.guard(program.pid, program.stop_signal)


def _wait_ready(program: Program) -> None:
    give_up_at = time.monotonic() + READY_SECONDS
    while program.state != "ready":
        assert not program.look(), f"{program.name} ended: {program.last_words()}"
        assert time.monotonic() < give_up_at, f"{program.name} does not get ready"
        # A server does not announce that it is ready: it is asked again, until the deadline.
        threading.Event().wait(0.1)


@contextmanager
def another_postgres(**options: str) -> Iterator[str]:
    """Give the address of a second PostgreSQL cluster, new and empty, with settings of its own."""
    home = Path(tempfile.mkdtemp(prefix="storelog-tests-"))
    (home / "logs").mkdir()
    port = free_port()
    program = postgres.program(home, port)
    program.argv += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    try:
        with running(program):
            yield postgres.url(port)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def running(program: Program) -> Iterator[None]:
    """Let one server of the test's own run."""
    watchdog = Watchdog()
    try:
        _launch(program, watchdog)
        _wait_ready(program)
        yield
    finally:
        program.ask_to_stop()
        program.wait_stopped()
        watchdog.close()


def new_settings(servers: EmbeddedServers, base: Settings | None = None) -> Settings:
    """Return settings of a new, empty, migrated system."""
    return _set_up(bare_settings(servers, base))


def bare_settings(servers: EmbeddedServers, base: Settings | None = None) -> Settings:
    """Return settings of a new system, with a database that has nothing in it."""
    name = _new_name()
    base = base or servers.settings
    asyncio.run(_create_database(base.postgres_url or "", name))
    return _read_side(replace(base, postgres_url=_with_path(base.postgres_url or "", name)), name)


def beside(settings: Settings) -> Settings:
    """Return settings of another, empty read side of the same log."""
    return _set_up(_read_side(settings, _new_name()))


def _new_name() -> str:
    return f"t{os.getpid()}n{next(_numbers)}"


def _read_side(base: Settings, name: str) -> Settings:
    return replace(
        base,
        mongodb_uri=_with_path(base.mongodb_uri or "", name),
        kafka_topic_prefix=f"{name}-",
        kafka_group_id=f"{name}-projector",
    )


def _set_up(settings: Settings) -> Settings:
    asyncio.run(set_up_servers(settings))
    return settings


async def _create_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    await connection.close()


def _with_path(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
