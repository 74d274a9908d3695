"""Connections of a real loop: those that are gone, and many that come at once."""

import asyncio
import socket
from typing import Any

import pytest
import uvloop

from storelog.web.ending import EndingTransport
from storelog.web.server import BACKLOG, open_listeners


@pytest.mark.parametrize("name", ["close", "close_now", "abort", "get_write_buffer_size"])
def test_nothing_fails_on_a_connection_that_is_gone(name: str) -> None:
    """On uvloop an end that is written to a closed connection is an error."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Any] = loop.create_future()

        class Taken(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.set_result(transport)

        server = await loop.create_server(Taken, "127.0.0.1", 0)
        try:
            with socket.create_connection(server.sockets[0].getsockname()):
                transport = await made
                ending = EndingTransport(transport)
                transport.abort()
                for _ in range(3):
                    await asyncio.sleep(0)
                ending.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
                getattr(ending, name)()
        finally:
            server.close()
            await server.wait_closed()

    uvloop.run(run())


def test_connections_that_come_at_once_are_taken_in_a_few_turns_of_the_loop() -> None:
    """A turn of an overloaded service is long, and libuv takes one from each listener in one."""
    taken: list[asyncio.BaseTransport] = []

    class Taken(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            taken.append(transport)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        listeners = open_listeners("127.0.0.1", 0)
        servers = [await loop.create_server(Taken, sock=s, backlog=BACKLOG) for s in listeners]
        address = listeners[0].getsockname()
        clients = [socket.create_connection(address, 5) for _ in range(100)]
        for _ in range(12):
            await asyncio.sleep(0)
        assert len(taken) == 100
        for server in servers:
            server.close()
        for client in clients:
            client.close()
        for transport in taken:
            transport.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
