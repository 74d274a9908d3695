"""Clients that send a byte now and then, and clients that never read what they asked for."""

import asyncio
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
_POST = b"POST /customers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
# What begins each kind of slowness, and what then comes once a second.
SLOW = {
    "head": (_GET + b"X-Slow: ", b"a"),
    "body": (_POST + b"Content-Length: 1000\r\n\r\n{", b"a"),
    "chunks": (_POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "silence": (b"", b""),
    "silence after an answer": (_GET + b"\r\n", b""),
    "empty lines": (b"\r\n", b"\r\n"),
    "empty lines after an answer": (_GET + b"\r\n", b"\r\n"),
    "a body after its answer": (_GET + b"Content-Length: 1000\r\n\r\n", b"a"),
    "chunks after an answer": (_GET + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "a head behind an answer": (_GET + b"\r\n" + _GET + b"X-Slow: ", b"a"),
}


@dataclass(frozen=True)
class Siege:
    """What came of it, in seconds: the slowest close of each kind, and good requests meanwhile."""

    closed_after: Mapping[str, float]
    latencies: Sequence[float]

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.latencies, n=100)[98]


async def drip(url: str, kind: str, give_up_seconds: float) -> float:
    """Be slow in one way of SLOW; return after how many seconds the server closed."""
    start, drop = SLOW[kind]
    address = urlsplit(url)
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    end = asyncio.create_task(_until_end(reader))
    try:
        writer.write(start)
        while not end.done() and time.monotonic() - began < give_up_seconds:
            if drop:
                writer.write(drop)
            await asyncio.wait([end], timeout=1)
        return time.monotonic() - began
    finally:
        end.cancel()
        writer.transport.abort()


async def _until_end(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(4096):
            pass
    except OSError:
        pass


async def besiege(
    url: str, connections: int, good: Callable[[], Awaitable[float]], give_up_seconds: float
) -> Siege:
    """Drip on so many connections at once, and send good requests meanwhile."""
    kinds = list(SLOW)
    drips = [
        asyncio.create_task(drip(url, kinds[number % len(kinds)], give_up_seconds))
        for number in range(connections)
    ]
    latencies = []
    while not all(task.done() for task in drips):
        latencies.append(await good())
        await asyncio.sleep(0.02)
    closed_after: dict[str, float] = {}
    for number, task in enumerate(drips):
        kind = kinds[number % len(kinds)]
        closed_after[kind] = max(task.result(), closed_after.get(kind, 0.0))
    return Siege(closed_after, latencies)


class Unread:
    """A client that asks for much and reads nothing of it."""

    def __init__(self, url: str, path: str, times: int) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=10)
        asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._socket.sendall(asked * times)

    def read_what_there_is(self) -> int:
        """Return how many bytes still come before the end."""
        size = 0
        try:
            while chunk := self._socket.recv(65_536):
                size += len(chunk)
        except ConnectionError:
            pass
        finally:
            self._socket.close()
        return size
