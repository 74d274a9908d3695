"""Connections that end in every way a client can end one, one after the other."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /health/live" + HOST
_RESET = struct.pack("ii", 1, 0)
# After so many the service is asked for a response: it has taken all of them by then.
IN_A_ROW = 20
HELD_AT_ONCE = 50


@dataclass(frozen=True)
class Kind:
    """What a connection sends, what it waits for, and whether it is closed or reset then."""

    sent: bytes
    until: bytes = b""
    is_reset: bool = False


KINDS = {
    "kept alive": Kind(GET + b"\r\n", b"}"),
    "kept alive, reset": Kind(GET + b"\r\n", b"}", is_reset=True),
    "several requests, reset": Kind((GET + b"\r\n") * 5, b"}", is_reset=True),
    "malformed": Kind(b"\x00rubbish\r\n\r\n", b"/problems/malformed-request"),
    "offering to upgrade": Kind(GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", b"}"),
    "broken off in the head": Kind(GET + b"X-Cut: "),
    "broken off in the head, reset": Kind(GET + b"X-Cut: ", is_reset=True),
    "broken off in the body": Kind(b"POST /customers" + HOST + b"Content-Length: 99\r\n\r\n{"),
    "broken off in chunks": Kind(
        b"POST /customers" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 4"
    ),
    "rejected": Kind(b"", b"/problems/overloaded"),
}
STREAMING = {
    "streaming": Kind(b"GET /live" + HOST + b"\r\n", b"\r\n\r\n"),
    "streaming, reset": Kind(b"GET /live" + HOST + b"\r\n", b"\r\n\r\n", is_reset=True),
    "streaming before another request": Kind(
        b"GET /live" + HOST + b"\r\n" + GET + b"\r\n", b"\r\n\r\n", is_reset=True
    ),
}
Address = tuple[str, int]


def come_and_go(address: Address, kind: Kind, times: int) -> None:
    """Open and end so many connections of one kind."""
    for number in range(1, times + 1):
        _one(address, kind)
        if number % IN_A_ROW == 0 or number == times:
            _one(address, KINDS["kept alive"])


def be_rejected(address: Address, limit: int, times: int) -> None:
    """Open connections above the limit of one address, which is `limit`, so many times."""
    left = times
    for _ in range(times):
        with _held(address, limit):
            left -= _rejected(address, min(left, HELD_AT_ONCE))
        if not left:
            return
    raise AssertionError(f"{left} were not rejected")


def _rejected(address: Address, most: int) -> int:
    """Be rejected so many times, or until one of those that are held has been idle too long."""
    for done in range(most):
        try:
            _one(address, KINDS["rejected"])
        except TimeoutError:
            return done
    return most


@contextmanager
def _held(address: Address, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        left = count
        while left:
            held = stack.enter_context(socket.create_connection(address, timeout=10))
            held.sendall(GET + b"\r\n")
            # Those that were held before may still be counted.
            left -= _read(held, b"}").startswith(b"HTTP/1.1 200 ")
        yield


def _one(address: Address, kind: Kind) -> None:
    with socket.create_connection(address, timeout=10) as connection:
        if kind.sent:
            connection.sendall(kind.sent)
        if kind.until:
            _read(connection, kind.until)
        if kind.is_reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _read(connection: socket.socket, until: bytes) -> bytes:
    back = b""
    while until not in back:
        chunk = connection.recv(65_536)
        assert chunk, f"the end came before {until!r}: {back!r}"
        back += chunk
    return back
