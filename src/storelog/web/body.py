"""Reads a request's body: at most 1 MiB, within its deadline, with a limit on all that are held.

A body that arrives in one piece (up to some 64 KiB, as most do) is not counted, since the number of
connections limits these.
Next: web/json_body.py
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from storelog.errors import ProtocolRefusal, Unavailable

MAX_BODY_BYTES = 1024 * 1024
# A body that is too large is read up to here, so that its client sees the 413 and no reset.
MAX_DISCARDED_BYTES = 8 * MAX_BODY_BYTES
BODY_DEADLINE_SECONDS = 20.0
# Limits on the parts of bodies that have not arrived completely.
MAX_HELD_BYTES = 128 * MAX_BODY_BYTES
MAX_HELD_BYTES_PER_CLIENT = 64 * MAX_BODY_BYTES
Receive = Callable[[], Awaitable[dict[str, Any]]]
_TOO_LARGE = f"A body has at most {MAX_BODY_BYTES} bytes."
_CLOSE = [("Connection", "close")]


class Bodies:
    """The bodies that are arriving at one service."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._held_in_all = 0

    async def read(
        self, scope: Mapping[str, Any], headers: Mapping[str, str], receive: Receive
    ) -> bytes:
        """Return the whole body. Raises ProtocolRefusal 408 and 413, Unavailable.

        A small body that has arrived with its head is in the request's state (web/framing.py).
        """
        small: bytes | None = scope["state"].pop("body", None)
        if small is not None:
            return small
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:10]) > MAX_DISCARDED_BYTES:
            raise ProtocolRefusal(413, "too-large", _TOO_LARGE, _CLOSE)
        give_up_at = asyncio.get_running_loop().time() + BODY_DEADLINE_SECONDS
        message = await _receive(receive, give_up_at)
        if not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                raise ProtocolRefusal(413, "too-large", _TOO_LARGE, _CLOSE)
            return body
        client = scope["client"][0] if scope.get("client") else ""
        held = _Held(self, client)
        try:
            return await _rest(held, message, receive, give_up_at)
        finally:
            held.give_back()

    def hold(self, client: str, size: int) -> None:
        """Count `size` more bytes (or fewer, below 0). Raises Unavailable above a limit."""
        self._held[client] += size
        self._held_in_all += size
        if not self._held[client]:
            del self._held[client]
        if size > 0 and (
            self._held_in_all > MAX_HELD_BYTES or self._held[client] > MAX_HELD_BYTES_PER_CLIENT
        ):
            raise Unavailable("Too many bodies are arriving.", slug="overloaded")


class _Held:
    """One request's share of the bytes that all requests may hold."""

    def __init__(self, bodies: Bodies, client: str) -> None:
        self._bodies, self._client, self._size = bodies, client, 0

    def take(self, size: int) -> None:
        self._size += size
        self._bodies.hold(self._client, size)

    def give_back(self) -> None:
        self._bodies.hold(self._client, -self._size)


async def _rest(held: _Held, message: dict[str, Any], receive: Receive, give_up_at: float) -> bytes:
    """Return the body; read on a while if it is too large, so that the client reads the 413."""
    parts: list[bytes] = []
    size = 0
    while True:
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            held.take(len(chunk))
            parts.append(chunk)
        elif size > MAX_DISCARDED_BYTES:
            raise ProtocolRefusal(413, "too-large", _TOO_LARGE, _CLOSE)
        if not message.get("more_body"):
            break
        message = await _receive(receive, give_up_at)
    if size > MAX_BODY_BYTES:
        raise ProtocolRefusal(413, "too-large", _TOO_LARGE, _CLOSE)
    return b"".join(parts)


async def _receive(receive: Receive, give_up_at: float) -> dict[str, Any]:
    try:
        async with asyncio.timeout_at(give_up_at):
            message = await receive()
    except TimeoutError:
        detail = f"The body did not arrive within {BODY_DEADLINE_SECONDS:.0f} s."
        raise ProtocolRefusal(408, "request-timeout", detail, _CLOSE) from None
    if message["type"] == "http.disconnect":
        raise Unavailable("The client went away.")
    return message
