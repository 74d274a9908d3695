"""Sends attacks, many at once, and keeps what came of them."""

import asyncio
import socket
import statistics
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hostile.attacks import Attack, request

ANSWER_SECONDS = 20.0
# What a read says that was told to wait for too much, and a machine that does too much at once.
BUSY = (b"not-caught-up", b"unavailable", b"overloaded")
AT_ONCE = 12


@dataclass
class Outcome:
    """Responses by status (0: the connection ended without one), and forbidden ones."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return self.statuses.total()


def bombard(
    url: str, source: Iterator[Attack], count: int, seconds: float, *, has_pages: bool = False
) -> Outcome:
    """Send `count` attacks, or as many as the time allows; return what came of them.

    `has_pages`: an error may be a page for people, too.
    """
    outcome = Outcome()
    give_up_at = time.monotonic() + seconds

    async def work() -> None:
        while outcome.sent < count and time.monotonic() < give_up_at:
            attack = next(source, None)
            if attack is None:
                return
            status, answer = await _send(url, attack)
            outcome.statuses[status] += 1
            if (complaint := _complaint(status, answer, has_pages=has_pages)) is not None:
                sent = b"".join(attack.pieces)[:300]
                outcome.wrong.append(f"{attack.kind}: {complaint}: {sent!r} -> {answer[:600]!r}")

    async def all_at_once() -> None:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    asyncio.run(all_at_once())
    return outcome


async def _send(url: str, attack: Attack) -> tuple[int, bytes]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    answer = b""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            for piece in attack.pieces:
                writer.write(piece)
                await writer.drain()
            if attack.end == "reset":
                _reset(writer)
                return 0, b""
            if attack.end == "half":
                # The service may have ended the connection already, and its response be here.
                with suppress(OSError):
                    writer.write_eof()
            answer = await _head(
                reader, has_body=not b"".join(attack.pieces[:1]).startswith(b"HEAD ")
            )
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    except TimeoutError:
        return -1, b"no answer in time"
    finally:
        writer.transport.abort()
    status = int(answer[9:12]) if answer[:7] == b"HTTP/1." and answer[9:12].isdigit() else 0
    return status, answer


async def _head(reader: asyncio.StreamReader, *, has_body: bool) -> bytes:
    answer = b""
    while chunk := await reader.read(65_536):
        answer += chunk
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and (b"problem+json" not in head or b"}" in body or not has_body):
            break
    return answer


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _complaint(status: int, answer: bytes, *, has_pages: bool) -> str | None:
    if status < 0:
        return "neither an answer nor an end"
    if status == 503 and any(b"/problems/" + slug in answer for slug in BUSY):
        return None
    if status >= 500:
        return f"status {status}"
    is_page = has_pages and b"text/html" in answer
    if status >= 400 and not is_page and b"application/problem+json" not in answer:
        return f"status {status} without a problem document"
    return None


def latency(url: str, path: str, times: int) -> float:
    """Return the median of good requests, each on a connection of its own, in seconds."""
    address = urlsplit(url)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
            raw.sendall(request("GET", path, b"Connection: close\r\n"))
            assert raw.recv(65_536).startswith(b"HTTP/1.1 200 ")
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
