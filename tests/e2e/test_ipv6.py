"""Everything is reached by IPv6 alone: servers, services, and the Command Service that leads."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.local import kafka, mongodb
from storelog.local.program import Program
from storelog.server_setup import set_up_servers
from support.embedded import another_postgres, running
from support.projected import verified
from support.system import System, free_port, trade, wait_for

LOOPBACK = "[::1]"


def _kafka(home: Path) -> tuple[Program, str]:
    port, controller = free_port(), free_port()
    broker = kafka.program(home, port, controller)
    properties = home / "kafka" / kafka.PROPERTIES
    said = properties.read_text("utf-8")
    properties.write_text(said.replace(f"127.0.0.1:{port}", f"{LOOPBACK}:{port}"), "utf-8")
    address = f"{LOOPBACK}:{port}"

    def is_ready() -> bool:
        try:
            return bool(AdminClient({"bootstrap.servers": address}).list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    broker.is_ready = is_ready
    return broker, address


def _mongodb(home: Path) -> tuple[Program, str]:
    port = free_port()
    server = mongodb.program(home, port)
    server.argv = ["::1" if part == "127.0.0.1" else part for part in server.argv]
    url = mongodb.url(port).replace("127.0.0.1", LOOPBACK)

    def is_ready() -> bool:
        with MongoClient[dict[str, object]](url, serverSelectionTimeoutMS=500) as client:
            try:
                client.admin.command("ping")
            except PyMongoError:
                return False
        return True

    server.is_ready = is_ready
    return server, url


@pytest.fixture
def over_ipv6(tmp_path: Path) -> Iterator[Settings]:
    """Settings of servers that are reached by IPv6."""
    (tmp_path / "logs").mkdir()
    with ExitStack() as stack:
        postgres = stack.enter_context(another_postgres(listen_addresses="127.0.0.1,::1"))
        broker, brokers = _kafka(tmp_path)
        server, mongo = _mongodb(tmp_path)
        for program in (broker, server):
            stack.enter_context(running(program))
        settings = Settings(
            postgres_url=postgres.replace("127.0.0.1", LOOPBACK),
            kafka_bootstrap_servers=brokers,
            mongodb_uri=mongo,
        )
        asyncio.run(set_up_servers(settings))
        yield settings


def test_an_order_goes_the_whole_way_over_ipv6_and_no_process_uses_ipv4(
    over_ipv6: Settings,
) -> None:
    with (
        System(over_ipv6, host="::1") as system,
        System(over_ipv6, ("command-service",), host="::1") as second,
    ):
        trade(system)
        system.wait_projected()

        def roles() -> list[str]:
            ready = [each.commands.get("/health/ready").json for each in (system, second)]
            return sorted(str(said["role"]) for said in ready)

        wait_for(lambda: roles() == ["follower", "leader"], "one that leads the other")
        second.new_customer()
        system.wait_projected()
        assert verified(system)["position"] == system.written()
        for name, pid in (*system.pids().items(), *second.pids().items()):
            used = psutil.Process(pid).net_connections(kind="inet4")
            assert [each for each in used if each.status != psutil.CONN_NONE] == [], name
