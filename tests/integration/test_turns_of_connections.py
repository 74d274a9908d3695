"""A request whose turn comes late gets its whole response, and the server keeps listening."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
import uvloop
from uvicorn.server import ServerState

from storelog.web.connections import Connections
from storelog.web.protocol import LimitedProtocol
from storelog.web.turns import Turns

# uvloop reads so many bytes at once.
PIECE = 256_000


def run(coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(coroutine, 20))


class Held(Turns):
    """Turns that come when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()

    def may_begin(self, loop: asyncio.AbstractEventLoop) -> bool:
        self.came.set()
        return False

    def __len__(self) -> int:
        return len(self._waiting)

    def __getitem__(self, number: int) -> Any:
        """Return a connection that waits."""
        return self._waiting[number].__self__  # type: ignore[attr-defined]

    def come(self) -> None:
        """Begin what has waited longest."""
        self._waiting.popleft()()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def served(held: Held, bodies: list[bytes]) -> AsyncIterator[Streams]:
    """Serve an application that keeps the bodies it is sent; yield a connection to it."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body, goes_on = b"", True
        while goes_on:
            message = await receive()
            body, goes_on = body + message.get("body", b""), message.get("more_body", False)
        bodies.append(body)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    kind = type("Protocol", (LimitedProtocol,), {"limits": Connections(9, 9), "turns": held})
    config = uvicorn.Config(application, lifespan="off", log_config=None)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: kind(config, ServerState(), {"stopping": asyncio.Event()}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        # What a test that fails leaves unsent would keep the loop from closing.
        writer.transport.abort()
        server.close()
        await server.wait_closed()


def test_a_request_that_was_put_off_gets_its_whole_response() -> None:
    async def put_off() -> None:
        held, bodies = Held(), list[bytes]()
        async with served(held, bodies) as (reader, writer):
            for number in range(2):
                writer.write(
                    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
                )
                writer.write(b"%d" % number * 300_000)
                while len(bodies) == number:
                    if not held:
                        await asyncio.sleep(0.001)
                        continue
                    # It is not read on meanwhile: one piece waits, and has one turn.
                    await asyncio.sleep(0.01)
                    assert len(held) == 1
                    assert len(held[0]._unbegun) <= PIECE
                    held.come()
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 204 ")
            assert bodies == [b"0" * 300_000, b"1" * 300_000]

    run(put_off())


def test_a_client_that_has_gone_when_its_turn_comes_is_passed_over() -> None:
    async def gone() -> None:
        failed: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        held, bodies = Held(), list[bytes]()
        async with served(held, bodies) as (_, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await held.came.wait()
            held[0].cut_off()
            held.come()
            await asyncio.sleep(0.05)
        assert (bodies, failed) == ([], [])

    run(gone())


def test_requests_that_were_put_off_get_responses_before_the_service_stops() -> None:
    async def stops() -> None:
        held, bodies = Held(), list[bytes]()
        async with served(held, bodies) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await held.came.wait()
            held[0].shutdown()
            assert (await reader.read()).startswith(b"HTTP/1.1 204 ")
            # Its turn comes all the same.
            held.come()
        assert bodies == [b""]

    run(stops())
