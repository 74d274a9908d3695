"""Requests at a fixed rate, whatever comes back: what an overloaded service is sent."""

import asyncio
import json
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

TICK_SECONDS = 0.002
LAST_ANSWER_SECONDS = 30.0
OPENED_AT_ONCE = 200
SPARE_FILES = 200
# A service limits the connections of one address: these are several clients.
ADDRESSES = 4


@dataclass
class Flood:
    """What a flood saw; times in seconds from the moment that a request was sent.

    `bare`: rejections without `Retry-After`; `lost`: connections that ended; `made`: the `Location`
    of each 201; `seconds`: from the first request to the last response; `sent`: requests.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    sent: int = 0
    bare: int = 0
    lost: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Orders that were taken a second."""
        return self.statuses[201] / self.seconds


class _Connection(asyncio.Protocol):
    """One connection, with at most one request in flight."""

    transport: asyncio.Transport

    def __init__(self, seen: Flood, idle: "list[_Connection]") -> None:
        self._seen, self._idle = seen, idle
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, though they act as one.
        self.transport = cast(asyncio.Transport, transport)
        self._idle.append(self)

    def send(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        head = head.lower()
        if end and len(body) >= int(_value(head, b"content-length")):
            self._buffer = b""
            self._take(head)
            self._idle.append(self)

    def _take(self, head: bytes) -> None:
        seen, status = self._seen, int(head[9:12])
        took = time.perf_counter() - self._sent_at
        seen.statuses[status] += 1
        if status == 201:
            seen.accepted.append(took)
            seen.made.append(_value(head, b"location").decode())
        else:
            seen.refused.append(took)
            seen.bare += not _value(head, b"retry-after").isdigit()

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen.lost += exc is not None


def _value(head: bytes, name: bytes) -> bytes:
    """Return a field's value from a head in lower case, empty where it has none."""
    return head.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]


def flood(
    url: str,
    body: Any,
    *,
    rate: float,
    seconds: float,
    connections: int,
    look: Callable[[], object] = lambda: None,
) -> Flood:
    """Post the body to /orders at a rate a second; `look` every now and then.

    A request that is due while each connection has one in flight is dropped: never sent later.
    """
    address, content = urlsplit(url), json.dumps(body).encode()
    to = address.hostname or "", address.port or 0
    head = f"POST /orders HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
    request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content
    _allow_files(connections + SPARE_FILES)
    seen = Flood()
    idle: list[_Connection] = []

    async def connect(number: int) -> None:
        source = f"127.0.0.{1 + number % ADDRESSES}", 0
        await asyncio.get_running_loop().create_connection(
            lambda: _Connection(seen, idle), *to, local_addr=source
        )

    async def run() -> None:
        for first in range(0, connections, OPENED_AT_ONCE):
            some = range(first, min(first + OPENED_AT_ONCE, connections))
            await asyncio.gather(*map(connect, some))
        began, offered = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds:
            due = int(passed * rate) - offered
            ready = min(due, len(idle))
            for _ in range(ready):
                idle.pop().send(request)
            offered += due
            seen.sent += ready
            look()
            await asyncio.sleep(TICK_SECONDS)
        async with asyncio.timeout(LAST_ANSWER_SECONDS):
            while len(idle) < connections - seen.lost:
                look()
                await asyncio.sleep(TICK_SECONDS)
        seen.seconds = time.perf_counter() - began
        for connection in idle:
            connection.transport.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return seen


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
