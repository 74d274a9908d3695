"""Many readers of /live at once, and readers that take nothing: none holds memory or others up."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from storelog.client import Line, Storelog
from support.embedded import EmbeddedServers, new_settings
from support.live import LiveReader
from support.system import System, wait_for

pytestmark = pytest.mark.alone

READERS = 1_000
CHANGES = 20
MAX_GROWTH_BYTES = 150 * 1024 * 1024
ALLOWED = {"STORELOG_MAX_CONNECTIONS": "4000", "STORELOG_MAX_CONNECTIONS_PER_CLIENT": "4000"}


@pytest.fixture
def open_system(servers: EmbeddedServers) -> Iterator[System]:
    """A system that lets one address have very many connections."""
    with System(new_settings(servers), environment=ALLOWED) as system:
        yield system


def memory(system: System) -> int:
    listening = urlsplit(system.queries.url).port
    for connection in psutil.net_connections("tcp"):
        if connection.status == "LISTEN" and connection.laddr.port == listening:
            return int(psutil.Process(connection.pid).memory_info().rss)
    raise AssertionError("the Query Service does not listen")


def test_a_thousand_readers_get_every_change_while_others_are_served(open_system: System) -> None:
    system = open_system
    address = urlsplit(system.queries.url)

    async def read(target: int, connected: list[int]) -> list[int]:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(b"GET /live?topics=customers HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got: list[int] = []
        is_first = True
        while not got or got[-1] < target:
            line = await asyncio.wait_for(reader.readline(), 120)
            assert line, "the stream ended"
            if is_first and line.startswith(b"id: "):
                is_first = False
                connected.append(1)
            if line.startswith(b"data: "):
                found = re.search(rb'"position":(\d+)', line)
                assert found is not None
                got.append(int(found[1]))
        writer.close()
        return got

    async def run() -> tuple[list[list[int]], float, int]:
        before = await asyncio.to_thread(system.written)
        connected: list[int] = []
        tasks = [asyncio.create_task(read(before + CHANGES, connected)) for _ in range(READERS)]
        give_up_at = time.monotonic() + 120
        while len(connected) < READERS:
            assert time.monotonic() < give_up_at, f"{len(connected)} readers"
            await asyncio.sleep(0.1)
        grown = await asyncio.to_thread(memory, system)
        slowest = 0.0
        for number in range(CHANGES):
            await asyncio.to_thread(system.new_customer, name=f"Ann {number}")
            began = time.monotonic()
            reply = await asyncio.to_thread(system.queries.get, "/customers/1")
            slowest = max(slowest, time.monotonic() - began)
            assert reply.status in (200, 404)
        return await asyncio.gather(*tasks), slowest, grown

    empty = memory(system)
    got, slowest, grown = asyncio.run(run())
    expected = list(range(got[0][-1] - CHANGES + 1, got[0][-1] + 1))
    assert all(positions == expected for positions in got)
    print(f"{READERS} readers: {(grown - empty) / READERS / 1024:.0f} KiB each; a read at the same"
          f" time took {slowest * 1000:.0f} ms at most")  # fmt: skip
    assert grown - empty < MAX_GROWTH_BYTES
    assert slowest < 20


def test_a_reader_that_takes_nothing_is_cut_off_and_holds_nobody_up(open_system: System) -> None:
    system = open_system
    with Storelog(system.settings.command_url, system.settings.query_url) as shop:
        ann = shop.create_customer("Ann", "a@b")
        lamp = shop.create_product("L" * 200, 1, 1_000_000)
        lines = [Line(lamp.product_id, 1)] * 200
        for _ in range(60):
            shop.place_order(ann.customer_id, lines)
        address = urlsplit(system.queries.url)
        with socket.socket() as dead:
            dead.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            dead.connect((address.hostname, address.port))
            dead.sendall(b"GET /live?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with LiveReader(system.queries.url, "/live?after=0") as reader:
                wait_for(lambda: reader.last_id is not None and reader.last_id >= shop.position,
                         "the reader beside it", 180)  # fmt: skip
                assert len(reader.events) == shop.position
            at = dead.getsockname()[1]
            wait_for(lambda: not is_held(address.port or 0, at), "the dead reader to be cut off")
        assert system.queries.get("/customers/1").status == 200


def is_held(port: int, peer: int) -> bool:
    """Tell whether the service still has the connection of this peer."""
    return any(
        c.laddr.port == port and c.raddr and c.raddr.port == peer and c.pid is not None
        for c in psutil.net_connections("tcp")
    )
