"""Reads the log, whole or of one aggregate, in order. Next: relay/relay.py"""

import asyncpg

from storelog.envelope import EVENT_COLUMNS, Envelope, envelope_from_row

# The payload of an order of 2,000 lines has some 250 KB.
MAX_PAGE_BYTES = 2 * 1_048_576
READ_AT_ONCE = 50


async def read_head(pool: asyncpg.Pool) -> int:
    """Return the log's last position."""
    return int(await pool.fetchval("SELECT position FROM log_head"))


async def read_page(
    pool: asyncpg.Pool, aggregate: str | None, after: int, limit: int
) -> tuple[list[Envelope], int | None]:
    """Return a page of events above position `after`, and the position to go on after.

    It ends at `limit` events, or with the one that makes the payloads MAX_PAGE_BYTES; the position
    is None where the log ended before.
    """
    page: list[Envelope] = []
    size = 0
    while len(page) < limit:
        wanted = min(READ_AT_ONCE, limit - len(page))
        found = await _read_events(pool, aggregate, page[-1].position if page else after, wanted)
        for event in found:
            page.append(event)
            size += len(event.payload)
            if size >= MAX_PAGE_BYTES:
                return page, event.position
        if len(found) < wanted:
            return page, None
    return page, page[-1].position


async def _read_events(
    pool: asyncpg.Pool, aggregate: str | None, after: int, limit: int
) -> list[Envelope]:
    if aggregate is None:
        rows = await pool.fetch(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE position > $1 ORDER BY position LIMIT $2",
            after,
            limit,
        )
    else:
        kind, _, number = aggregate.rpartition("-")
        rows = await pool.fetch(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2"
            " AND position > $3 ORDER BY version LIMIT $4",
            kind,
            int(number),
            after,
            limit,
        )
    return [envelope_from_row(row) for row in rows]
