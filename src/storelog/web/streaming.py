"""Sends a stream piece by piece, until one side ends it.

A piece that cannot be written for `WRITE_SECONDS` ends the connection at once, so a slow or dead
reader holds one piece and its connection's buffer, and delays nobody. A stream ends properly when
the process stops, and when its caller's key is revoked.
Next: web/app.py
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

import structlog

from storelog.web.http import Stream

WRITE_SECONDS = 10.0
_log = structlog.get_logger()
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def send_stream(
    stream: Stream,
    state: Mapping[str, Any],
    revoked: Coroutine[Any, Any, None],
    receive: Receive,
    send: Send,
) -> None:
    """Send the pieces after the head that was sent already.

    `state` is the request's: `stopping` is set when the process is to end, `cut_off` ends the
    connection without waiting for what is still to be written. `revoked` ends when the caller's key
    is revoked or has expired.
    """
    pump = asyncio.create_task(_pump(stream, send))
    tasks = {
        pump,
        asyncio.create_task(_until_gone(receive)),
        asyncio.create_task(state["stopping"].wait()),
        asyncio.create_task(revoked),
    }
    try:
        # The first to end decides: the stream, its client, the process, or the key.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    failure = None if pump.cancelled() else pump.exception()
    if failure is None and await _has_ended(send):
        return
    if failure is not None and not isinstance(failure, TimeoutError):
        _log.error("a stream failed", exc_info=failure)
    state["cut_off"]()


async def _pump(stream: Stream, send: Send) -> None:
    async with aclosing(stream.pieces) as pieces:
        async for piece in pieces:
            async with asyncio.timeout(WRITE_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _has_ended(send: Send) -> bool:
    """End the response properly; to a client that has gone nothing is sent."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        return False
    return True
