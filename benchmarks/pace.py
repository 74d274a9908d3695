"""An open load: requests at an even rate, whatever becomes of them, and some that are followed.

As cheap as `load.py`: bytes made beforehand, answers only cut apart. A followed order is read by
the Query Service's own wait for its position, over a connection of its own.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.load import NextRequest, request

TICK_SECONDS = 0.002
MAX_CONNECTIONS = 256
END_SECONDS = 30.0
WAIT = "Storelog-Wait-For: {}\r\nPrefer: wait=20\r\n"


@dataclass
class Paced:
    """What came of it: statuses of commands, seconds from a 201 to being readable, and how late.

    `late` is how many were due but found all connections taken, and so were not sent.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    readable: list[float] = field(default_factory=list)
    reads: Counter[int] = field(default_factory=Counter)
    late: int = 0

    def percentile_ms(self, share: float) -> float:
        """Return the time to readable in milliseconds that `share` (0 to 1) stay within."""
        ordered = sorted(self.readable)
        return 1_000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


Answered = Callable[["_Line", bytes, bytes], None]
Lost = Callable[["_Line"], None]


class _Line(asyncio.Protocol):
    """One connection, with one request in flight at most."""

    def __init__(self, answered: Answered, lost: Lost) -> None:
        self._answered, self._lost, self._buffer = answered, lost, b""
        self._transport: asyncio.Transport | None = None
        self.began = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, data: bytes, began: float) -> None:
        assert self._transport is not None
        self.began = began
        self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        head = head.lower()
        at = head.find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r", 1)[0]) if at >= 0 else 0
        if len(rest) >= length:
            self._buffer = b""
            self._answered(self, head, rest)


class _Pace:
    def __init__(self, commands: str, queries: str, next_request: NextRequest, every: int) -> None:
        self._commands, self._queries = commands, queries
        self._next, self._every = next_request, every
        self._idle: dict[str, deque[_Line]] = {commands: deque(), queries: deque()}
        self._lines: Counter[str] = Counter()
        self._opening: set[asyncio.Task[None]] = set()
        self._in_flight = self._number = 0
        self._all_answered = asyncio.Event()
        self.outcome, self.is_counted = Paced(), False

    async def run(self, rate: float, warm_up: float, seconds: float) -> Paced:
        for url in (self._commands, self._queries) * 16:
            self._idle[url].append(await self._open(url))
        began, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < began + warm_up + seconds:
            if not self.is_counted and now >= began + warm_up:
                self.is_counted, self.outcome = True, Paced()
            while sent < (now - began) * rate:
                sent += 1
                self._place()
            await asyncio.sleep(TICK_SECONDS)
        self.is_counted = False
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._all_answered.wait()
        for lines in self._idle.values():
            for line in [*lines]:
                line.close()
        return self.outcome

    def _place(self) -> None:
        data = self._next()
        assert data is not None
        if not self._send(self._commands, data):
            self.outcome.late += 1

    def _send(self, url: str, data: bytes) -> bool:
        """Send on a connection that is free, or on a new one; return False where all are taken."""
        began, idle = time.perf_counter(), self._idle[url]
        if not idle and self._lines[url] >= MAX_CONNECTIONS:
            return False
        self._in_flight += 1
        self._all_answered.clear()
        if idle:
            idle.pop().send(data, began)
        else:
            opening = asyncio.get_running_loop().create_task(self._send_on_new(url, data, began))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)
        return True

    async def _send_on_new(self, url: str, data: bytes, began: float) -> None:
        (await self._open(url)).send(data, began)

    async def _open(self, url: str) -> _Line:
        address = urlsplit(url)
        self._lines[url] += 1
        answered = self._written if url == self._commands else self._read

        def lost(line: _Line) -> None:
            self._lines[url] -= 1
            if line in self._idle[url]:
                self._idle[url].remove(line)

        _, line = await asyncio.get_running_loop().create_connection(
            lambda: _Line(answered, lost), str(address.hostname), address.port or 80
        )
        return line

    def _written(self, line: _Line, head: bytes, body: bytes) -> None:
        self._end(self._commands, line)
        status = int(head[9:12])
        self.outcome.statuses[status] += 1
        self._number += 1
        if status == 201 and self._number % self._every == 0 and self.is_counted:
            at = head.partition(b"storelog-position: ")[2].split(b"\r", 1)[0].decode()
            made = body.partition(b'"orderId":')[2].split(b",", 1)[0].decode()
            read = request(self._queries, "GET", f"/orders/{made}", headers=WAIT.format(at))
            self._send(self._queries, read)

    def _read(self, line: _Line, head: bytes, _: bytes) -> None:
        self._end(self._queries, line)
        self.outcome.reads[int(head[9:12])] += 1
        self.outcome.readable.append(time.perf_counter() - line.began)

    def _end(self, url: str, line: _Line) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._all_answered.set()
        self._idle[url].append(line)


def run_paced(
    commands: str,
    queries: str,
    next_request: NextRequest,
    rate: float,
    warm_up: float,
    seconds: float,
) -> Paced:
    """Place orders at a rate; follow ten of them a second. What the warm-up saw is not counted."""
    pace = _Pace(commands, queries, next_request, max(1, int(rate / 10)))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(pace.run(rate, warm_up, seconds))
