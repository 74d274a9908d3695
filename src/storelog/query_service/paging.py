"""Keyset paging: a page begins after the last key of the page before, whatever changed meanwhile.

A cursor is bound to the list and filters it was made for. Pages by time are found in windows that
widen until they hold about a page, so that a page costs the same however large the collection is,
on a server that sorts by its index and on one that reads a window whole.
Next: query_service/view.py
"""

import base64
import binascii
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from storelog.errors import InvalidFields

# Six orders of a shop that takes 200 a second; a quiet one has an empty window more.
FIRST_WINDOW = timedelta(milliseconds=32)
# After an empty window: so long as hardly anything was found the next one may hold a page, but not
# days of a shop that was closed; later there is a gap, such as a night, with the next page right
# behind it.
WIDEN_BY, WIDE, WIDEN_WIDE_BY = 32, timedelta(minutes=1), 3
WIDEN_GAP_BY, LEAST_GAP = 1.5, timedelta(seconds=1)
SPARE = 3
# No key is near the ends of 64 bits, so that one more or less than a part still has room there.
MAX_PART = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
Document = dict[str, Any]
Key = list[int]


def make_cursor(bound_to: Mapping[str, Any], key: Key) -> str:
    """Return a cursor that goes on after `key`, for the same filters only."""
    raw = json.dumps([_fingerprint(bound_to), *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).rstrip(b"=").decode()


def read_cursor(cursor: str | None, bound_to: Mapping[str, Any], length: int) -> Key | None:
    """Return the key that a cursor goes on after. Raises InvalidFields."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        fingerprint, *key = json.loads(base64.b64decode(padded, b"-_", validate=True))
        numbers = all(type(part) is int and -MAX_PART <= part <= MAX_PART for part in key)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        numbers, key, fingerprint = False, [], ""
    if not numbers or len(key) != length or fingerprint != _fingerprint(bound_to):
        raise InvalidFields([("?cursor", "is not a cursor of this list with these filters")])
    return [int(part) for part in key]


def _fingerprint(bound_to: Mapping[str, Any]) -> str:
    text = json.dumps(sorted(bound_to.items()), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def to_number(at: datetime) -> int:
    """Return a moment as whole milliseconds since 1970."""
    return (at - _EPOCH) // _MILLISECOND


def to_moment(number: int) -> datetime:
    """Return the moment of milliseconds since 1970, within what a datetime can hold."""
    lowest, highest = to_number(datetime.min.replace(tzinfo=UTC)), 253_402_300_799_000
    return _EPOCH + min(max(number, lowest), highest) * _MILLISECOND


@dataclass(frozen=True, slots=True)
class Walk:
    """Documents of a collection by (time, *ties): from the newest down, or from the oldest up.

    `match` is equality on the index's first fields; `newest` and `oldest` (inclusive) bound it.
    A window aims at as many documents as are still `wanted`; they come `chunk` at a time. `keep`
    turns one into what is yielded, or into nothing; it gets only `fields`, or all.
    """

    collection: AsyncCollection[Document]
    match: Mapping[str, Any]
    time: str
    ties: tuple[str, ...]
    oldest: datetime
    newest: datetime
    wanted: int
    chunk: int
    keep: Callable[[Document], Document | None] = lambda found: found
    fields: Mapping[str, int] | None = None

    async def documents(
        self, after: Key | None, *, is_up: bool = False
    ) -> AsyncGenerator[Document]:
        """Yield the documents beyond the key, or all."""
        async with aclosing(self._up(after) if is_up else self._down(after)) as found:
            async for document in found:
                kept = self.keep(document)
                if kept is not None:
                    yield kept

    async def _up(self, after: Key | None) -> AsyncGenerator[Document]:
        lower, beyond = self.oldest, self.newest + _MILLISECOND
        if after is not None:
            at = to_moment(after[0])
            if self.oldest <= at < beyond:
                async for document in self._tied(at, after[1:], is_up=True):
                    yield document
            lower = max(at + _MILLISECOND, lower)
        window, read = FIRST_WINDOW, 0
        while lower < beyond:
            upper = min(lower + min(window, beyond - lower), beyond)
            condition = {self.time: {"$gte": lower, "$lt": upper}}
            before = read
            async for document in self._all(condition, is_up=True):
                read += 1
                yield document
            lower, window = upper, self._next(window, before, read)

    async def _down(self, after: Key | None) -> AsyncGenerator[Document]:
        upper = self.newest + _MILLISECOND
        if after is not None:
            at = min(to_moment(after[0]), upper)
            if at >= self.oldest:
                async for document in self._tied(at, after[1:]):
                    yield document
            upper = min(at, upper)
        window, read = FIRST_WINDOW, 0
        while upper > self.oldest:
            lower = max(upper - min(window, upper - self.oldest), self.oldest)
            condition = {self.time: {"$gte": lower, "$lt": upper}}
            before = read
            async for document in self._all(condition):
                read += 1
                yield document
            upper, window = lower, self._next(window, before, read)

    def _next(self, window: timedelta, before: int, read: int) -> timedelta:
        """Return how wide a window is that holds what is still wanted, if it is like the last."""
        if read == before and read < SPARE:
            return window * (WIDEN_BY if window < WIDE else WIDEN_WIDE_BY)
        if read == before:
            return max(LEAST_GAP, window * WIDEN_GAP_BY)
        left = self.wanted - read if read < self.wanted else self.wanted
        # A little more than is wanted costs less than one more window.
        return max(FIRST_WINDOW, window * min(WIDEN_BY, (left + SPARE) / (read - before)))

    async def _tied(
        self, at: datetime, ties: Sequence[int], *, is_up: bool = False
    ) -> AsyncGenerator[Document]:
        beyond = "$gt" if is_up else "$lt"
        rest = [
            {**dict(zip(self.ties[:place], ties, strict=False)), tie: {beyond: ties[place]}}
            for place, tie in enumerate(self.ties)
        ]
        condition: Document = {self.time: at, "$or": rest}
        async for document in self._all(condition, is_up=is_up):
            yield document

    async def _all(self, condition: Document, *, is_up: bool = False) -> AsyncGenerator[Document]:
        """Yield a window's documents, a chunk at a time, each chunk after the last one's key."""
        order = [(name, 1 if is_up else -1) for name in (self.time, *self.ties)]
        query = {**self.match, **condition}
        found = self.collection.find(query, self.fields, sort=order, batch_size=self.chunk)
        async with found:
            async for document in found:
                yield document
