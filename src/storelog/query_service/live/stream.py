"""GET /live: the changes as server-sent events, each once, as soon as every read includes it.

A reader is only a position: frames are made once for all readers, so a slow one holds no more than
the piece that is being sent. It is disconnected if that cannot be written (web/streaming.py). `id`
is the position, so a client that reconnects with `Last-Event-ID` misses nothing.
Next: query_service/live/tail.py
"""

import asyncio
import re
from collections.abc import AsyncGenerator

from storelog.errors import InvalidFields, Malformed, Unavailable
from storelog.query_service.live.changes import Asked, Changes
from storelog.query_service.live.tail import Tail
from storelog.query_service.positions.freshness import (
    DEFAULT_WAIT_SECONDS,
    check_history,
    view_of,
    wanted_history,
)
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.shop.events import EVENTS
from storelog.web.http import Request, Stream

MAX_READERS = 1_500
HEART_BEAT_SECONDS = 10.0
RETRY_MILLISECONDS = 1_000
AWAY_SECONDS = 1.0
# A reader must reconnect after this, so that a revoked key does not read for ever.
STREAM_SECONDS = 3_600.0
# Events are named by their types, or all have the default name, which a page gets as `onmessage`.
NAMING = ("named", "unnamed")
TOPICS = tuple(sorted({topic for kind in EVENTS for topic in kind.live}))
MAX_TOPICS_LENGTH = 100
_POSITION = re.compile(r"\d{1,19}", re.ASCII)


class LiveStream:
    """The handler, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._changes = Changes()
        self._tail = Tail(reads)
        self._readers = 0

    async def follow(self, request: Request) -> Stream:
        """GET /live"""
        asked, after = Asked(_topics(request), _is_named(request)), _after(request)
        history = wanted_history(request)
        if self._readers >= MAX_READERS:
            raise Unavailable("Too many clients read /live here.", 10, slug="overloaded")
        async with reading_mongodb():
            view = await self._reads.view()
            check_history(view, history)
            after = view.place.position if after is None else after
            if after > view.place.position:
                # Most likely the position of a command that was accepted just now.
                view = await view_of(self._reads, after, DEFAULT_WAIT_SECONDS, history)
        headers = (("Cache-Control", "no-store"), *view.place.headers())
        return Stream(self._pieces(after, asked), headers)

    async def _pieces(self, after: int, asked: Asked) -> AsyncGenerator[bytes]:
        self._readers += 1
        now = asyncio.get_running_loop().time
        end_at = now() + STREAM_SECONDS
        try:
            yield b"retry: %d\n%b" % (RETRY_MILLISECONDS, _heart_beat(after))
            beat_at = now() + HEART_BEAT_SECONDS
            while now() < end_at:
                piece = b""
                view = await self._tail.beyond(after, beat_at - now())
                if view is not None:
                    try:
                        async with reading_mongodb():
                            piece, after = await self._changes.piece(view, after, asked)
                    except Unavailable:
                        # A browser never reconnects after a 503, so the connection stays open
                        # while MongoDB is away.
                        await asyncio.sleep(AWAY_SECONDS)
                if not piece and now() < beat_at:
                    # Give other readers a turn, however many changes are skipped here.
                    await asyncio.sleep(0)
                    continue
                # Skipped changes move the id too, so that a reconnect does not read them again.
                yield piece or _heart_beat(after)
                beat_at = now() + HEART_BEAT_SECONDS
        finally:
            self._readers -= 1


def _heart_beat(after: int) -> bytes:
    """Return an event without data: a client ignores it, but takes its Last-Event-ID from it."""
    return b": \nid: %d\n\n" % after


def _topics(request: Request) -> frozenset[str]:
    named = request.query.get("topics")
    if named is None:
        return frozenset(TOPICS)
    topics = frozenset(named.split(","))
    if not topics <= set(TOPICS) or len(named) > MAX_TOPICS_LENGTH:
        raise InvalidFields([("?topics", f"must be some of {', '.join(TOPICS)}")])
    return topics


def _is_named(request: Request) -> bool:
    given = request.query.get("events", "named")
    if given not in NAMING:
        raise InvalidFields([("?events", f"must be {' or '.join(NAMING)}")])
    return given == "named"


def _after(request: Request) -> int | None:
    """Return where to continue: from the header of a reader that reconnects, or the parameter."""
    header, given = request.headers.get("last-event-id"), request.query.get("after")
    if given is not None and (not _POSITION.fullmatch(given) or int(given) >= 2**63):
        raise InvalidFields([("?after", "must be a position, such as 42")])
    if header is not None:
        if not _POSITION.fullmatch(header) or int(header) >= 2**63:
            raise Malformed("Last-Event-ID must be the id of an event of this stream.")
        return int(header)
    return None if given is None else int(given)
