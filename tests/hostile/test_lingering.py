"""Behind its last response a connection lingers: the client gets it, whatever it still sends."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psutil
import pytest

from storelog.config import Settings
from storelog.local.servers import PROCESSES
from support.system import System, wait_for

HOST = b"Host: localhost\r\n"
TO_COME = b"Content-Length: 1000000\r\n\r\n"
LAST = {
    "HTTP/1.0": (b"POST /nothing HTTP/1.0\r\n" + HOST + TO_COME, 404),
    "Connection: close": (b"POST /nothing HTTP/1.1\r\nConnection: close\r\n" + HOST + TO_COME, 404),
    "malformed": (b"rubbish\r\n\r\n", 400),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "chunks": (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n" + HOST + b"\r\n", 400),
}
PIECE = b"a" * 10_000
# Two seconds of silence, a look each second, and room for a busy machine.
STOP_SECONDS = 7.0


@contextmanager
def _responded(url: str, head: bytes, status: int) -> Iterator[socket.socket]:
    """Send a head, and wait for its response without reading it."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
        raw.sendall(head)
        start = b"HTTP/1.1 %d " % status
        assert raw.recv(len(start), socket.MSG_PEEK | socket.MSG_WAITALL) == start
        yield raw


def _whole(raw: socket.socket) -> bytes:
    back = b""
    while chunk := raw.recv(65_536):
        back += chunk
    return back


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("last", LAST)
def test_on_all_four_ports_what_follows_the_last_response_does_not_take_it_away(
    shop: System, name: str, last: str
) -> None:
    head, status = LAST[last]
    with _responded(shop.url(name), head, status) as raw:
        for _ in range(1_000_000 // len(PIECE)):
            raw.sendall(PIECE)
        back = _whole(raw)
        assert back.count(b"HTTP/1.1 ") == 1
        assert back.endswith(b"}")


def test_a_body_that_is_too_large_is_told_so_while_it_is_sent(shop: System) -> None:
    head = b"POST /orders HTTP/1.1\r\n" + HOST + b"Content-Length: 10000000\r\n"
    head += b"Content-Type: application/json\r\n\r\n"
    with _responded(shop.url("command-service"), head, 413) as raw:
        for _ in range(10_000_000 // len(PIECE)):
            raw.sendall(PIECE)
        assert b"/problems/too-large" in _whole(raw)


@pytest.mark.alone
def test_clients_that_never_close_behind_their_last_response_delay_no_stop(
    settings: Settings,
) -> None:
    with System(settings, ("command-service",)) as system, ExitStack() as stack:
        url = system.url("command-service")
        held = [
            stack.enter_context(_responded(url, head, status)) for head, status in LAST.values()
        ]
        began = time.monotonic()
        system.signal("command-service", signal.SIGTERM)
        assert system.exit_code("command-service") == 0
        assert time.monotonic() - began < STOP_SECONDS
        for raw in held:
            assert _whole(raw).endswith(b"}")


@pytest.mark.parametrize("name", PROCESSES)
def test_on_all_four_ports_a_client_that_never_closes_is_closed_behind_its_last_response(
    shop: System, name: str
) -> None:
    process = psutil.Process(shop.pid(name))
    with ExitStack() as stack:
        ports = set()
        for head, status in LAST.values():
            raw = stack.enter_context(_responded(shop.url(name), head, status))
            ports.add(raw.getsockname()[1])

        def is_held() -> bool:
            held = {each.raddr.port for each in process.net_connections() if each.raddr}
            return bool(held & ports)

        wait_for(lambda: not is_held(), "the connections to be closed", 10)
