"""Finds events by their fields, or the newest first; a page reads a bounded part of the log.

The log has an index for the events of one aggregate. It has none for other fields, since each would
slow every append: their events are found by reading windows of positions, up or down, and a page
that ends before its limit says where to go on.
Next: command_service/log_reader.py
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from storelog.command_service.log_reader import (
    MAX_PAGE_BYTES,
    PAGE_SECONDS,
    READ_AT_ONCE,
    version_at,
)
from storelog.envelope import EVENT_COLUMNS, Envelope, envelope_from_row

# Small enough that even a window without a match is read well within PAGE_SECONDS.
WINDOW = 2_000
_CONDITIONS = """($4::text IS NULL OR event_type = $4)
    AND ($5::text IS NULL OR caller = $5)
    AND ($6::text IS NULL OR correlation_id = $6)
    AND ($7::uuid IS NULL OR event_id = $7)
    AND ($8::text IS NULL OR (aggregate_type = $8 AND aggregate_id = $9))"""
_SOME = f"""SELECT {EVENT_COLUMNS} FROM events
    WHERE position > $1 AND position <= $2 AND {_CONDITIONS} ORDER BY position {{order}} LIMIT $3"""
_UP, _DOWN = _SOME.format(order="ASC"), _SOME.format(order="DESC")

_DOWN_OF_ONE = f"""SELECT {EVENT_COLUMNS} FROM events
    WHERE aggregate_type = $1 AND aggregate_id = $2 AND version <= $3 AND position > $4
    ORDER BY version DESC LIMIT $5"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are wanted; None matches all. `aggregate`: a type and a number."""

    event_type: str | None = None
    caller: str | None = None
    correlation_id: str | None = None
    event_id: UUID | None = None
    aggregate: tuple[str, int] | None = None

    @property
    def is_any(self) -> bool:
        """Whether only the aggregate is given, for which there is an index."""
        return (self.event_type, self.caller, self.correlation_id, self.event_id) == (None,) * 4

    def arguments(self) -> Sequence[Any]:
        """Return the arguments of the conditions."""
        named = (None, None) if self.aggregate is None else self.aggregate
        return (self.event_type, self.caller, self.correlation_id, self.event_id, *named)


async def search_up(
    connection: asyncpg.Connection, wanted: Wanted, after: int, head: int, limit: int
) -> tuple[list[Envelope], int | None]:
    """Return a page of events above `after`, and the position to go on after, None at the end."""
    page = _Page(limit)
    while after < head:
        end = min(after + WINDOW, head)
        full = await page.fill(connection, _UP, after, end, wanted)
        after = page.found[-1].position if full else end
        if page.is_over and after < head:
            return page.found, after
    return page.found, None


async def search_down(
    connection: asyncpg.Connection, wanted: Wanted, after: int, last: int, limit: int
) -> tuple[list[Envelope], int | None]:
    """Return a page of events up to `last` and above `after`, newest first.

    And the position to go on before, None at the end.
    """
    if wanted.is_any and wanted.aggregate is not None:
        return await _down_of_one(connection, wanted.aggregate, after, last, limit)
    page, top = _Page(limit), last
    while top > after:
        low = max(top - WINDOW, after)
        full = await page.fill(connection, _DOWN, low, top, wanted)
        top = page.found[-1].position - 1 if full else low
        if page.is_over and top > after:
            return page.found, top + 1
    return page.found, None


async def _down_of_one(
    connection: asyncpg.Connection, aggregate: tuple[str, int], after: int, last: int, limit: int
) -> tuple[list[Envelope], int | None]:
    page, version = _Page(limit), await version_at(connection, aggregate, last)
    while version:
        some = page.some
        rows = await connection.fetch(_DOWN_OF_ONE, *aggregate, version, after, some)
        if not page.add(rows, some):
            break
        version = page.found[-1].version - 1
        if page.is_over and version:
            return page.found, page.found[-1].position
    return page.found, None


class _Page:
    """What was found so far, and whether it is enough: in events, bytes or time."""

    def __init__(self, limit: int) -> None:
        self.found: list[Envelope] = []
        self._limit, self._bytes = limit, 0
        self._give_up_at = time.monotonic() + PAGE_SECONDS

    async def fill(
        self, connection: asyncpg.Connection, statement: str, low: int, high: int, wanted: Wanted
    ) -> bool:
        """Add some of a window; tell whether more may be left in it."""
        some = self.some
        rows = await connection.fetch(statement, low, high, some, *wanted.arguments())
        return self.add(rows, some)

    @property
    def some(self) -> int:
        """How many events to ask for next."""
        return min(READ_AT_ONCE, self._limit - len(self.found))

    def add(self, rows: Sequence[asyncpg.Record], some: int) -> bool:
        """Add what was found of so many that were asked for; tell whether more may be left."""
        events = [envelope_from_row(tuple(row)) for row in rows]
        self.found += events
        self._bytes += sum(len(event.payload) for event in events)
        return len(events) == some

    @property
    def is_over(self) -> bool:
        """Whether the page ends here."""
        return (
            len(self.found) == self._limit
            or self._bytes >= MAX_PAGE_BYTES
            or time.monotonic() > self._give_up_at
        )
