"""GET /live: the changes as server-sent events, each once, when every read holds it.

A reader is one position: what it is sent is made for all readers together, so a slow one holds
nothing but the piece under way, and is cut off when that cannot be written (web/streaming.py).
`id` is the position, so `Last-Event-ID` goes on where a connection broke off, whoever broke it.
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
from storelog.query_service.positions.reads import Reads, answering
from storelog.shop.events import EVENTS
from storelog.web.http import Request, Stream

MAX_READERS = 1_500
HEART_BEAT_SECONDS = 10.0
RETRY_MILLISECONDS = 1_000
AWAY_SECONDS = 1.0
# A reader comes back after this long, so that a key that was revoked does not read for ever.
STREAM_SECONDS = 3_600.0
# Named by their types, or all the default event, which a page gets as `onmessage`.
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
            raise Unavailable("Too many read /live here.", 10, slug="overloaded")
        async with answering():
            view = await self._reads.view()
            check_history(view, history)
            after = view.place.position if after is None else after
            if after > view.place.position:
                # Most likely a position that a command was given just now.
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
                        async with answering():
                            piece, after = await self._changes.piece(view, after, asked)
                    except Unavailable:
                        # A browser gives up on a 503 for good: the connection outlives trouble.
                        await asyncio.sleep(AWAY_SECONDS)
                if not piece and now() < beat_at:
                    # Other readers have their turn, however much is passed over here.
                    await asyncio.sleep(0)
                    continue
                # Changes that are passed over move the id on, too.
                yield piece or _heart_beat(after)
                beat_at = now() + HEART_BEAT_SECONDS
        finally:
            self._readers -= 1


def _heart_beat(after: int) -> bytes:
    """Return an event without data: none for the reader, but it moves its Last-Event-ID on."""
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
    """Return where to go on: the header of a reader who comes back, else the parameter."""
    header, given = request.headers.get("last-event-id"), request.query.get("after")
    if given is not None and (not _POSITION.fullmatch(given) or int(given) >= 2**63):
        raise InvalidFields([("?after", "must be a position, such as 42")])
    if header is not None:
        if not _POSITION.fullmatch(header) or int(header) >= 2**63:
            raise Malformed("Last-Event-ID must be the id of an event of this stream.")
        return int(header)
    return None if given is None else int(given)
