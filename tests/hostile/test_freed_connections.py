"""Counting references alone frees a closed connection: no collection of cycles is needed."""

import asyncio
import gc
import socket
import struct
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState

from storelog.config import Settings
from storelog.web import body
from storelog.web.app import App
from storelog.web.connections import Connections
from storelog.web.http import Operation, Request, Response, Route, Stream
from storelog.web.protocol import LimitedProtocol
from storelog.web.turns import Turns
from support.crowd import GET, HOST, KINDS, STREAMING, Kind

OTHERS = {
    "nothing": Kind(b""),
    "an empty line": Kind(b"\r\n"),
    "an unknown path": Kind(b"GET /nothing" + HOST + b"\r\n", b"/problems/not-found"),
    "a large head": Kind(GET + b"X: " + b"a" * 80_000, b"/problems/headers-too-large"),
    "the last request before its body": Kind(
        b"POST /nothing HTTP/1.0\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{", b"}"
    ),
    "the last request": Kind(GET + b"Connection: close\r\n\r\n", b"}"),
    "rubbish behind a request": Kind(GET + b"\r\n\x00\r\n", b"}"),
    "too many requests": Kind((GET + b"\r\n") * 40),
    "a handler at work": Kind(b"POST /slow" + HOST + b"Content-Length: 2\r\n\r\n{}"),
    "a handler at work before another": Kind(
        b"POST /slow" + HOST + b"Content-Length: 2\r\n\r\n{}" + GET + b"\r\n"
    ),
    "CONNECT": Kind(b"CONNECT localhost:80" + HOST + b"\r\n", b"/problems/method-not-allowed"),
    "an unread response": Kind(b"GET /large" + HOST + b"\r\n", b"HTTP/1.1 200"),
}
STATES = {**KINDS, **STREAMING, **OTHERS}
WAIT_SECONDS = 5.0
# Of the loop, in which a service has read what came.
TURNS = 20


async def _ticks() -> AsyncGenerator[bytes]:
    while True:
        yield b"data: 1\n\n"
        await asyncio.sleep(0.005)


async def _live(_request: Request) -> Stream:
    return Stream(_ticks())


async def _slow(_request: Request) -> Response:
    await asyncio.sleep(0.05)
    return Response(201, b"{}")


async def _large(_request: Request) -> Response:
    return Response(200, b"a" * 8_000_000)


async def _facts() -> Mapping[str, Any]:
    return {}


class _House:
    """The server of one test: its connections by weak reference, as it makes them."""

    def __init__(self, max_connections: int, keep_alive_seconds: int) -> None:
        operation = Operation("")
        routes = [
            Route("GET", "/live", "read", _live, operation),
            Route("POST", "/slow", "write", _slow, operation),
            Route("POST", "/customers", "write", _slow, operation),
            Route("GET", "/large", "read", _large, operation),
        ]
        app = App("house", routes, Settings(), _facts)
        self._config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=keep_alive_seconds,
        )
        self._config.load()
        self.door = Connections(9, max_connections)
        self._kind = type("P", (LimitedProtocol,), {"limits": self.door, "turns": Turns()})
        self._state, self._stopping = ServerState(), {"stopping": asyncio.Event()}
        self.made: list[weakref.ref[LimitedProtocol]] = []

    def make(self) -> LimitedProtocol:
        made: LimitedProtocol = self._kind(
            config=self._config, server_state=self._state, app_state=self._stopping
        )
        self.made.append(weakref.ref(made))
        return made


def _by_client(_house: _House, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _by_reset(_house: _House, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _by_server(house: _House, _writer: asyncio.StreamWriter) -> None:
    made = house.made[-1]()
    if made is not None:
        made.transport.close()
    # A response that is not read keeps the connection until its deadline.
    _by_sweep(house, _writer)


def _by_cut(house: _House, _writer: asyncio.StreamWriter) -> None:
    made = house.made[-1]()
    if made is not None:
        made.cut_off()


def _by_sweep(house: _House, _writer: asyncio.StreamWriter) -> None:
    """Two looks, at times at which every deadline is over."""
    now = asyncio.get_running_loop().time()
    house.door.sweep(now + 100)
    house.door.sweep(now + 200)


def _by_shutdown(house: _House, _writer: asyncio.StreamWriter) -> None:
    made = house.made[-1]()
    if made is not None:
        made.shutdown()


CLOSERS: dict[str, Callable[[_House, asyncio.StreamWriter], None]] = {
    "its client": _by_client,
    "a reset": _by_reset,
    "the server": _by_server,
    "the server at once": _by_cut,
    "a deadline": _by_sweep,
    "a shutdown": _by_shutdown,
}


@contextmanager
def _without_collections() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _end_one(kind: Kind, close: Callable[[_House, asyncio.StreamWriter], None]) -> bool:
    """Make a connection, end it, and tell whether it was freed."""
    house = _House(0 if kind is KINDS["rejected"] else 9, 0 if close is _by_sweep else 25)
    server = await asyncio.get_running_loop().create_server(house.make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(kind.sent)
    back = b""
    while kind.until not in back:
        back += await reader.read(1000)
    await _until(lambda: bool(house.made), "the connection to be taken")
    for _ in range(TURNS):
        await asyncio.sleep(0)
    close(house, writer)
    if close is _by_shutdown and not await _until(lambda: house.made[0]() is None, "", 0.1):
        # What had not arrived yet is still waited for.
        writer.close()
    is_freed = await _until(lambda: _is_freed(house, writer, close), "")
    writer.transport.abort()
    server.close()
    return is_freed


def _is_freed(
    house: _House,
    writer: asyncio.StreamWriter,
    close: Callable[[_House, asyncio.StreamWriter], None],
) -> bool:
    if close is _by_sweep:
        # Looks go on: behind its last response a connection has deadlines of its own.
        close(house, writer)
    return house.made[0]() is None


async def _until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> bool:
    give_up_at = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > give_up_at:
            assert not what, what
            return False
        await asyncio.sleep(0.002)
    return True


@pytest.mark.parametrize("closer", CLOSERS)
def test_a_closed_connection_is_freed_at_once_without_a_collection(
    closer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_DEADLINE_SECONDS", 0.05)
    # A stream that is read has no deadline.
    states = STATES if closer != "a deadline" else {**KINDS, **OTHERS}
    kept = []
    with _without_collections():
        for state, kind in states.items():
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                if not runner.run(_end_one(kind, CLOSERS[closer])):
                    kept.append(state)
    assert not kept
