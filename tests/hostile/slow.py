"""Clients that send a byte now and then, and clients that never read what they asked for."""

import asyncio
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

SLOW_HEAD = b"GET / HTTP/1.1\r\nX-Slow: "
SLOW_BODY = (
    b"POST /customers HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{"
)
SILENT = b""


@dataclass(frozen=True)
class Siege:
    """What came of it, in seconds."""

    closed_after: Sequence[float]
    latencies: Sequence[float]

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.latencies, n=100)[98]


async def drip(url: str, start: bytes, give_up_seconds: float) -> float:
    """Send `start`, then a byte a second; return after how many seconds the server closed."""
    address = urlsplit(url)
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    end = asyncio.create_task(_until_end(reader))
    try:
        writer.write(start)
        while not end.done() and time.monotonic() - began < give_up_seconds:
            if start:
                writer.write(b"a")
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
    starts = (SLOW_HEAD, SLOW_BODY, SILENT)
    drips = [
        asyncio.create_task(drip(url, starts[number % 3], give_up_seconds))
        for number in range(connections)
    ]
    latencies = []
    while not all(task.done() for task in drips):
        latencies.append(await good())
        await asyncio.sleep(0.02)
    return Siege([task.result() for task in drips], latencies)


class Unread:
    """A client that asks for much and reads nothing of it."""

    def __init__(self, url: str, path: str, times: int) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=10)
        asked = f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
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
