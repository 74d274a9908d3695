"""A real asynchronous standby that lacks commits is promoted under load, and the log recovered."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from storelog.config import Settings
from storelog.local import postgres
from storelog.local.program import Program
from storelog.server_setup import set_up_servers
from support.backups import RELAYED, base_backup
from support.embedded import EmbeddedServers, bare_settings, running
from support.http import Client, Reply
from support.projected import read, verified
from support.system import System, free_port, wait_for
from support.trading import Done, Trading

_HEAD = "SELECT position FROM log_head"
_RECEIVERS = "SELECT count(*) FROM pg_stat_wal_receiver"
_RELAYED = "SELECT c.position = h.position FROM relay_cursor c, log_head h"
MIN_LOST = 300


def ask(url: str, *statements: str) -> Any:
    """Run statements on one server; return what the last one gives."""

    async def run() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return [await connection.fetchval(each) for each in statements][-1]
        finally:
            await connection.close()

    return asyncio.run(run())


@dataclass
class Cluster:
    """A primary, and a standby that replays what it commits; `settings` name both."""

    primary: Program
    urls: list[str]
    settings: Settings

    def stop_replication(self) -> int:
        """Let the standby receive no more; return the position at which its log ends."""
        ask(self.urls[1], "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        wait_for(lambda: ask(self.urls[1], _RECEIVERS) == 0, "the receiver's end")
        return int(ask(self.urls[1], _HEAD))

    def fail_over(self) -> None:
        """Kill the primary, and promote the standby."""
        assert self.primary.process is not None
        os.killpg(self.primary.process.pid, signal.SIGKILL)
        self.primary.process.wait(10)
        assert ask(self.urls[1], "SELECT pg_promote()")


@contextmanager
def folders() -> Iterator[list[Path]]:
    """Give two folders that PostgreSQL's own user may come to."""
    folder = Path(tempfile.mkdtemp(prefix="storelog-tests-"))
    folder.chmod(0o755)
    try:
        homes = [folder / name for name in ("primary", "standby")]
        for home in homes:
            (home / "logs").mkdir(parents=True)
        yield homes
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(servers: EmbeddedServers) -> Iterator[Cluster]:
    """A migrated system whose PostgreSQL has a standby, both named by one address."""
    ports = free_port(), free_port()
    urls = [postgres.url(port) for port in ports]
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    both = urlsplit(urls[0])._replace(netloc=f"postgres@{hosts}").geturl()
    with ExitStack() as stack:
        homes = stack.enter_context(folders())
        primary = postgres.program(homes[0], ports[0])
        stack.enter_context(running(primary))
        settings = replace(bare_settings(servers), postgres_url=both)
        asyncio.run(set_up_servers(settings))
        base_backup(urls[0], homes[1], "--write-recovery-conf")
        stack.enter_context(running(postgres.program(homes[1], ports[1])))
        yield Cluster(primary, urls, settings)


def ready(system: System, name: str) -> Reply:
    return Client(system.url(name)).get("/health/ready")


def loses_commits(system: System, cluster: Cluster, load: Trading) -> int:
    """Fail over to a standby that lacks some hundred events; return the position of its log's end.

    What a client has a response for is in Kafka and MongoDB by then: nothing else is in them.
    """
    wait_for(lambda: len(load.done) >= 20, "the load")
    common = cluster.stop_replication()
    wait_for(lambda: system.written() >= common + MIN_LOST, "events that the standby lacks")
    system.signal("command-service", signal.SIGSTOP)
    wait_for(lambda: ask(cluster.urls[0], _RELAYED), "the relay")
    system.wait_projected()
    cluster.fail_over()
    system.signal("command-service", signal.SIGCONT)
    return common


def all_say_so(system: System) -> None:
    """See that every process says that the log lacks events, and that nothing is appended."""
    assert system.exit_code("relay", 60) == 3
    assert "`storelog recover`" in system.log("relay")
    for name in ("command-service", "projector"):
        wait_for(lambda name=name: ready(system, name).status == 503, name)  # type: ignore[misc]
        assert "storelog recover" in ready(system, name).json["detail"]
    lag = system.cli("lag", "--json")
    assert lag.returncode == 1, lag.stdout
    told = json.loads(lag.stdout)
    assert told["is_log_behind"]
    assert told["events_ahead"] >= MIN_LOST
    assert told["projected"] > told["written"]


def is_there(system: System, order: int) -> bool:
    reply = read(system, f"/orders/{order}")
    assert reply.status in (200, 404), reply.raw
    return reply.status == 200


def test_a_standby_that_lacks_commits_is_promoted_under_load_and_nothing_is_lost_unnamed(
    cluster: Cluster, tmp_path: Path
) -> None:
    with System(cluster.settings, RELAYED) as system:
        customers = [system.new_customer()["customerId"] for _ in range(4)]
        products = [system.new_product(stock=100_000)["productId"] for _ in range(5)]
        with Trading(system.settings.command_url or "", 4, customers, products) as load:
            common = loses_commits(system, cluster, load)
            all_say_so(system)
            # Nothing has taken the place of what is lost.
            assert ask(cluster.urls[1], _HEAD) == common
            before = list(load.done)
            system.signal("projector", signal.SIGTERM)
            system.exit_code("projector")
            history = system.queries.get("/orders").headers["storelog-history"]
            done = system.cli("recover", "--report", str(tmp_path / "lost.json"), "--json")
            assert done.returncode == 0, done.stderr
            told = json.loads(done.stdout)
            for name in ("relay", "projector"):
                system.start(name)
            for name in RELAYED:
                system.wait_ready(name)
            wait_for(lambda: len(load.done) >= len(before) + 20, "the load to go on")
        system.wait_projected()
        check_lost(told, common, before)
        check_waiting_read(system, before[-1].position, history)
        deleted = {done.order for done in load.done if done.is_deletion}
        for each in (each for each in load.done if each.order not in load.in_doubt):
            assert is_there(system, each.order) == (each.order not in deleted), each
        assert verified(system)["position"] == system.written()
        lag = system.cli("lag", "--json")
        assert lag.returncode == 0, lag.stdout


def check_lost(told: dict[str, Any], common: int, done: list[Done]) -> None:
    """Compare what `storelog recover` names with what the clients know."""
    assert told["beganAfter"] == common
    lost = {each["position"]: each for each in told["lost"]}
    assert list(lost) == list(range(common + 1, common + 1 + len(lost)))
    assert len(lost) >= MIN_LOST
    responded = [each for each in done if each.position > common]
    assert {each.position for each in responded} <= lost.keys()
    orders = {each.order for each in responded}
    named = {each["payload"]["orderId"] for each in told["lost"] if "Order" in each["eventType"]}
    assert orders <= named
    # All that happened after the standby's end was lost together: so nothing contradicts it.
    assert (told["appendedAgain"], told["left"]) == (len(lost), 0)


def check_waiting_read(system: System, position: int, history: str) -> None:
    """See that a read that waits for a lost position gets no response from another history."""
    headers = {"Storelog-Wait-For": str(position), "Storelog-History": history}
    for path in ("/orders", "/orders/1", "/analytics/total-sales"):
        reply = system.queries.get(path, headers)
        assert (reply.status, reply.slug) == (409, "other-history")
        assert reply.json["asked"] == history
