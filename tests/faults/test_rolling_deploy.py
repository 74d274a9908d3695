"""A rolling deploy of Command Services, as Kubernetes does it: no command fails or is lost."""

import itertools
import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import pytest

from storelog.config import Settings
from storelog.local.servers import is_ready
from support.system import CAKE_STAND, System, wait_for

pytestmark = pytest.mark.alone

ONE = ("command-service",)
SENDERS = 8
TRIES = 50
STOP_SECONDS = 10.0


class Balancer:
    """Sends each command to a service that says it is ready, with a key, until it has a response.

    `retried`: connections that ended without one. `statuses`: of all responses.
    """

    def __init__(self) -> None:
        self._ready: dict[str, bool] = {}
        self._under_way: dict[str, int] = {}
        self._lock = threading.Lock()
        self._keys = itertools.count(1)
        self._is_over = threading.Event()
        self.retried = 0
        self.statuses: list[int] = []

    def add(self, url: str) -> None:
        """Send to this service while it is ready."""
        self._under_way.setdefault(url, 0)
        self._ready[url] = is_ready(url)

    def leave_out(self, url: str) -> None:
        """Send nothing more there, and wait for what is under way."""
        with self._lock:
            del self._ready[url]
        wait_for(lambda: not self._under_way[url], "the last responses")

    def look(self) -> None:
        """Follow what the services say of themselves."""
        while not self._is_over.wait(0.05):
            for url in list(self._ready):
                self._set(url, is_so=is_ready(url))

    def send(self) -> None:
        """Send commands on kept connections, one after the other."""
        kept: dict[str, HTTPConnection] = {}
        while not self._is_over.is_set():
            self._send_one(f"rolling-{next(self._keys)}", kept)
        for connection in kept.values():
            connection.close()

    def _send_one(self, key: str, kept: dict[str, HTTPConnection]) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        for _ in range(TRIES):
            url = self._begin()
            if url is None:
                self._is_over.wait(0.05)
                continue
            try:
                connection = kept.setdefault(url, HTTPConnection(urlsplit(url).netloc, timeout=20))
                connection.request("POST", "/products", json.dumps(CAKE_STAND), headers)
                reply = connection.getresponse()
                reply.read()
            except (OSError, HTTPException):
                kept.pop(url).close()
                self.retried += 1
                # Until it says again that it is ready.
                self._set(url, is_so=False)
            else:
                self.statuses.append(reply.status)
                return
            finally:
                with self._lock:
                    self._under_way[url] -= 1
        raise AssertionError(f"no response in {TRIES} tries: {self._ready}")

    def _begin(self) -> str | None:
        """Choose the ready service that has least to do."""
        with self._lock:
            ready = [url for url, is_so in self._ready.items() if is_so]
            if not ready:
                return None
            url = min(ready, key=lambda each: self._under_way[each])
            self._under_way[url] += 1
            return url

    def _set(self, url: str, *, is_so: bool) -> None:
        with self._lock:
            if url in self._ready:
                self._ready[url] = is_so

    @contextmanager
    def load(self) -> Iterator[None]:
        """Send from many threads; what one of them raises is raised here."""
        with ThreadPoolExecutor(SENDERS + 1) as pool:
            looking = pool.submit(self.look)
            senders = [pool.submit(self.send) for _ in range(SENDERS)]
            try:
                yield
            finally:
                self._is_over.set()
            for done in (*senders, looking):
                done.result(60)


def role(system: System) -> str:
    return str(system.commands.get("/health/ready").json.get("role"))


def end(system: System) -> None:
    began = time.monotonic()
    system.signal("command-service", signal.SIGTERM)
    assert system.exit_code("command-service") == 0
    assert time.monotonic() - began < STOP_SECONDS


def test_a_rolling_deploy_of_command_services_fails_no_command_and_loses_none(
    settings: Settings,
) -> None:
    balancer = Balancer()
    with ExitStack() as stack:

        def begin() -> System:
            system = stack.enter_context(System(settings, ONE))
            balancer.add(system.url("command-service"))
            return system

        old = [begin(), begin()]
        wait_for(lambda: sorted(map(role, old)) == ["follower", "leader"], "one that leads")
        old.sort(key=role, reverse=True)
        leader, follower = old
        with balancer.load():
            # As with `preStop`: its address is gone, and then it ends.
            new = [begin()]
            balancer.leave_out(leader.url("command-service"))
            end(leader)
            assert balancer.retried == 0
            # Without: connections that it closes, or takes no more, are tried again.
            new.append(begin())
            end(follower)
            wait_for(lambda: sorted(map(role, new)) == ["follower", "leader"], "a new leader")
            sent = len(balancer.statuses)
            wait_for(lambda: len(balancer.statuses) > sent + 50, "commands after the deploy")
        assert set(balancer.statuses) == {201}
        found = new[0].sql("SELECT count(*) AS n FROM products")
        assert found == [{"n": len(balancer.statuses)}]
        assert balancer.retried < SENDERS * 10
