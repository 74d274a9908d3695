"""Keyset paging: a page begins after the last key of the page before, even if documents changed.

A cursor is bound to its list and filters. Pages by time are found in windows that widen until one
holds about a page. So a page costs the same however large the collection is, both on a server that
sorts by an index and on one that reads a window whole.
Next: query_service/positions/view.py
"""

import base64
import binascii
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from pymongo.asynchronous.collection import AsyncCollection

from storelog.envelope import milliseconds, to_moment
from storelog.errors import InvalidFields
from storelog.query_service.paging.ends import End, WalkedPages
from storelog.query_service.paging.windows import Steps

# At most this many documents of the last page's time are skipped here instead of by the server.
MAX_TIED = 5_000
# Far from the limits of 64 bits, so that a part of a key plus or minus one cannot overflow.
MAX_PART = 2**62
Document = dict[str, Any]
PageKey = list[int]
TimeBounds = tuple[datetime, datetime]


def make_cursor(bound_to: Mapping[str, Any], key: Sequence[int | str]) -> str:
    """Return a cursor that continues after `key`, for the same filters only."""
    raw = json.dumps([_fingerprint(bound_to), *key], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).rstrip(b"=").decode()


def read_cursor(cursor: str | None, bound_to: Mapping[str, Any], length: int) -> PageKey | None:
    """Return the key after which a cursor continues. Raises InvalidFields."""
    parts = _read_parts(cursor, bound_to)
    if parts is None:
        return None
    if len(parts) != length or not all(_is_number(part) for part in parts):
        raise _wrong_cursor()
    return parts


def read_key_cursor(
    cursor: str | None, bound_to: Mapping[str, Any], kind: type[int | str]
) -> int | str | None:
    """Return the single key, an id or a text, of a cursor. Raises InvalidFields."""
    parts = _read_parts(cursor, bound_to)
    if parts is None:
        return None
    if len(parts) != 1 or not (_is_number(parts[0]) if kind is int else type(parts[0]) is kind):
        raise _wrong_cursor()
    key: int | str = parts[0]
    return key


def _read_parts(cursor: str | None, bound_to: Mapping[str, Any]) -> list[Any] | None:
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        said: list[Any] = json.loads(base64.b64decode(padded, b"-_", validate=True))
        fingerprint, *parts = said
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise _wrong_cursor() from None
    if fingerprint != _fingerprint(bound_to):
        raise _wrong_cursor()
    return parts


def _is_number(part: Any) -> bool:
    return type(part) is int and -MAX_PART <= part <= MAX_PART


def _wrong_cursor() -> InvalidFields:
    return InvalidFields([("?cursor", "is not a cursor of this list with these filters")])


def _fingerprint(bound_to: Mapping[str, Any]) -> str:
    text = json.dumps(sorted(bound_to.items()), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class TimesAhead(Protocol):
    """A list's `Milestones` within one view and its bounds."""

    def __call__(self, at: int, order_id: int | None, *, is_up: bool) -> Awaitable[list[int]]: ...


@dataclass(frozen=True, slots=True)
class Walk:
    """Documents of a collection by (time, *ties), newest or oldest first.

    `match`: equality on the index's first fields. `mark`: the field after them, whose value must be
    one of `marked`; it differs for deleted documents. `oldest`, `newest`: inclusive bounds.
    `wanted`: how many documents a window aims at, read `chunk` at a time. `keep`: returns what is
    yielded for a document, None to skip it; it sees only `fields`, or all. `milestones`: called
    with a time and, if known, an order of about that time, to limit windows after empty ones.
    `known`: times at which there is an order. `ties` begin with the order's id. `pages`: remembers
    where pages end.
    """

    collection: AsyncCollection[Document]
    match: Mapping[str, Any]
    time: str
    ties: tuple[str, ...]
    oldest: datetime
    newest: datetime
    wanted: int
    chunk: int
    mark: str
    marked: tuple[bool | None, ...]
    keep: Callable[[Document], Document | None] = lambda found: found
    fields: Mapping[str, int] | None = None
    milestones: TimesAhead | None = None
    known: tuple[int, ...] = ()
    pages: WalkedPages | None = None

    async def documents(
        self, after: PageKey | None, *, is_up: bool = False
    ) -> AsyncGenerator[Document]:
        """Yield the documents beyond the key, or all."""
        reading = None if self.pages is None else self.pages.begin(after, is_up=is_up)
        end = None if reading is None else reading.end
        walk = replace(self, chunk=self.wanted) if end is not None and end.is_small else self
        try:
            async with aclosing(walk._beyond(after, end, is_up=is_up)) as found:
                async for document in found:
                    if reading is not None:
                        reading.saw(document)
                    kept = self.keep(document)
                    if kept is not None:
                        yield kept
        finally:
            if reading is not None:
                reading.done()

    async def _beyond(
        self, after: PageKey | None, known: End | None, *, is_up: bool
    ) -> AsyncGenerator[Document]:
        first, last = milliseconds(self.oldest), milliseconds(self.newest)
        at, end = (first, last) if is_up else (last, first)
        start, order_id = at, None
        if after is not None:
            if first <= after[0] <= last:
                async for document in self._tied(after, is_up=is_up):
                    yield document
            at = max(after[0] + 1, at) if is_up else min(after[0] - 1, at)
            order_id = after[1]
        steps = Steps(self.wanted, end, is_up)
        if known is not None:
            steps.begin(at, known.time)
        while steps.is_left(at):
            is_known = order_id is not None or start in self.known
            if steps.is_far and is_known and self.milestones is not None:
                steps.milestones = await self.milestones(start, order_id, is_up=is_up)
            edge, before = steps.edge(at), steps.read
            low, high = sorted((at, edge))
            async for document in self._window(low, high, is_up=is_up):
                steps.read += 1
                order_id = document[self.ties[0]]
                yield document
            at = edge + (1 if is_up else -1)
            steps.widen(before)

    async def _tied(self, after: PageKey, *, is_up: bool = False) -> AsyncGenerator[Document]:
        """Yield the documents of the key's own time beyond it; the time is within the bounds.

        All documents of that time are read, as they are few: for a range of ids with a time, the
        embedded server reads half of the collection. With more than MAX_TIED that costs less.
        """
        at, *ties = after
        skipped = 0
        async with aclosing(self._window(at, at, is_up=is_up)) as documents:
            async for document in documents:
                key = [document[name] for name in self.ties]
                if (key > ties) if is_up else (key < ties):
                    yield document
                elif (skipped := skipped + 1) > MAX_TIED:
                    break
            else:
                return
        beyond = "$gt" if is_up else "$lt"
        rest = [
            {**dict(zip(self.ties[:place], ties, strict=False)), tie: {beyond: ties[place]}}
            for place, tie in enumerate(self.ties)
        ]
        condition: Document = {self.time: to_moment(at), "$or": rest}
        async for document in self._all(condition, is_up=is_up):
            yield document

    async def _window(
        self, lower: int, upper: int, *, is_up: bool = False
    ) -> AsyncGenerator[Document]:
        """Yield the documents from one millisecond to another, both within the bounds."""
        condition: Document = {"$gte": to_moment(lower)}
        # After the last moment of the year 9999 there is no later time to compare with.
        if to_moment(upper + 1) > to_moment(upper):
            condition["$lt"] = to_moment(upper + 1)
        async for document in self._all({self.time: condition}, is_up=is_up):
            yield document

    async def _all(self, condition: Document, *, is_up: bool = False) -> AsyncGenerator[Document]:
        """Yield a window's documents in order, a chunk at a time.

        Each mark has a find of its own: a server that uses the index for one value may read the
        whole collection for two.
        """
        found = [self._find({**condition, self.mark: value}, is_up) for value in self.marked]
        merged = found[0] if len(found) == 1 else self._merged(found[0], found[1], is_up)
        async with aclosing(merged) as documents:
            async for document in documents:
                yield document

    async def _find(self, condition: Document, is_up: bool) -> AsyncGenerator[Document]:
        order = [(name, 1 if is_up else -1) for name in (self.time, *self.ties)]
        query = {**self.match, **condition}
        found = self.collection.find(query, self.fields, sort=order, batch_size=self.chunk)
        async with found:
            async for document in found:
                yield document

    async def _merged(
        self, one: AsyncGenerator[Document], other: AsyncGenerator[Document], is_up: bool
    ) -> AsyncGenerator[Document]:
        async with aclosing(one), aclosing(other):
            first, second = await anext(one, None), await anext(other, None)
            while first is not None or second is not None:
                if second is None or (
                    first is not None and self._comes_before(first, second, is_up)
                ):
                    assert first is not None
                    yield first
                    first = await anext(one, None)
                else:
                    yield second
                    second = await anext(other, None)

    def _comes_before(self, one: Document, other: Document, is_up: bool) -> bool:
        names = (self.time, *self.ties)
        keys = [tuple(each[name] for name in names) for each in (one, other)]
        return (keys[0] < keys[1]) is is_up
