"""A closed-loop HTTP load generator: N connections, each with one request in flight.

Requests are bytes made beforehand and answers are only cut apart, so that it costs a fraction of
the server it measures; `ceiling.py` shows its own limit against a server that does nothing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

GIVE_UP_SECONDS = 30.0
NextRequest = Callable[[], bytes | None]


@dataclass
class Outcome:
    """What a run saw: statuses, latencies in seconds of the answers, and how long it took."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers of status 2xx a second."""
        good = sum(n for status, n in self.statuses.items() if 200 <= status < 300)
        return good / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """Return the latency in milliseconds that `share` (0 to 1) of the answers stay within."""
        if not self.latencies:
            return float("nan")
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection(asyncio.Protocol):
    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, though they act as one.
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        assert self._transport is not None
        request = self._run.next_request()
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            return
        at = data.find(b"content-length: ", 0, head_end)
        length = int(data[at + 16 : data.find(b"\r", at)]) if at >= 0 else 0
        if len(data) < head_end + 4 + length:
            return
        self._buffer = b""
        outcome = self._run.outcome
        outcome.latencies.append(time.perf_counter() - self._sent_at)
        outcome.statuses[int(data[9:12])] += 1
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.closed()


class _Run:
    def __init__(self, next_request: NextRequest, connections: int, seconds: float) -> None:
        self._make = next_request
        self._left = connections
        self._end_at = time.perf_counter() + seconds
        self.outcome = Outcome()
        self.done = asyncio.Event()

    def next_request(self) -> bytes | None:
        return self._make() if time.perf_counter() < self._end_at else None

    def closed(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.done.set()


def request(url: str, method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """Return a whole HTTP/1.1 request."""
    address = urlsplit(url)
    head = f"{method} {path} HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def run_load(
    url: str,
    next_request: NextRequest,
    connections: int,
    seconds: float = 3600.0,
    others: Sequence[str] = (),
) -> Outcome:
    """Send what `next_request` gives until it gives None or the time is over.

    `others`: addresses among which, and `url`, the connections are dealt out in turn.
    """

    async def run() -> Outcome:
        addresses = [urlsplit(each) for each in (url, *others)]
        loop = asyncio.get_running_loop()
        load = _Run(next_request, connections, seconds)
        began = time.perf_counter()
        for number in range(connections):
            address = addresses[number % len(addresses)]
            await loop.create_connection(
                lambda: _Connection(load), str(address.hostname), address.port or 80
            )
        await asyncio.wait_for(load.done.wait(), seconds + GIVE_UP_SECONDS)
        load.outcome.seconds = time.perf_counter() - began
        return load.outcome

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())
