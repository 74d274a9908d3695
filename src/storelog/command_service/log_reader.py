"""Reads the log, whole or of one aggregate, in order: a page costs the same wherever it begins.

Next: relay/relay.py
"""

import time

import asyncpg

from storelog.envelope import EVENT_COLUMNS, Envelope, envelope_from_row

# The payload of an order of 2,000 lines has some 250 KB.
MAX_PAGE_BYTES = 2 * 1_048_576
READ_AT_ONCE = 50
# A page that takes longer ends with what there is.
PAGE_SECONDS = 0.4

BY_POSITION = f"SELECT {EVENT_COLUMNS} FROM events WHERE position > $1 ORDER BY position LIMIT $2"
BY_VERSION = (
    f"SELECT {EVENT_COLUMNS} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2"
    " AND version > $3 ORDER BY version LIMIT $4"
)
_VERSION_AT = (
    "SELECT version FROM events WHERE position = $3 AND aggregate_type = $1 AND aggregate_id = $2"
)
# Positions grow with versions: halve the versions until the last one at or below $3 is found. Each
# step is one look into the index of aggregates and versions.
BISECT = """
WITH RECURSIVE bisection (low, high) AS (
    SELECT 0, coalesce(max(version), 0) + 1
    FROM events WHERE aggregate_type = $1 AND aggregate_id = $2
  UNION ALL
    SELECT CASE WHEN coalesce(found.position, 0) <= $3 THEN middle.version ELSE low END,
           CASE WHEN coalesce(found.position, 0) <= $3 THEN high ELSE middle.version END
    FROM bisection
    CROSS JOIN LATERAL (SELECT low + (high - low) / 2 AS version) AS middle
    LEFT JOIN LATERAL (
        SELECT position FROM events
        WHERE aggregate_type = $1 AND aggregate_id = $2 AND version <= middle.version
        ORDER BY version DESC LIMIT 1
    ) AS found ON true
    WHERE high - low > 1
)
SELECT max(low) FROM bisection
"""


async def read_head(connection: asyncpg.Connection) -> int:
    """Return the log's last position."""
    return int(await connection.fetchval("SELECT position FROM log_head"))


async def read_page(
    connection: asyncpg.Connection, aggregate: str | None, after: int, limit: int
) -> tuple[list[Envelope], int | None]:
    """Return a page of events above position `after`, and the position to go on after.

    It ends at `limit` events, with the one that makes the payloads MAX_PAGE_BYTES, or after
    PAGE_SECONDS; the position is None where the log ended before.
    """
    give_up_at = time.monotonic() + PAGE_SECONDS
    cursor = after
    if aggregate is not None:
        cursor = await _version_after(connection, _named(aggregate), after)
    page: list[Envelope] = []
    size = 0
    while len(page) < limit:
        wanted = min(READ_AT_ONCE, limit - len(page))
        found = await _read_events(connection, aggregate, cursor, wanted)
        for event in found:
            page.append(event)
            size += len(event.payload)
            if size >= MAX_PAGE_BYTES:
                return page, event.position
        if len(found) < wanted:
            return page, None
        if time.monotonic() > give_up_at:
            break
        cursor = page[-1].position if aggregate is None else page[-1].version
    return page, page[-1].position


async def _version_after(
    connection: asyncpg.Connection, aggregate: tuple[str, int], position: int
) -> int:
    """Return the aggregate's version at a position: 0 where it has no event at or below it."""
    if position == 0:
        return 0
    version = await connection.fetchval(_VERSION_AT, *aggregate, position)
    return int(version or await connection.fetchval(BISECT, *aggregate, position))


async def _read_events(
    connection: asyncpg.Connection, aggregate: str | None, cursor: int, limit: int
) -> list[Envelope]:
    if aggregate is None:
        rows = await connection.fetch(BY_POSITION, cursor, limit)
    else:
        rows = await connection.fetch(BY_VERSION, *_named(aggregate), cursor, limit)
    return [envelope_from_row(row) for row in rows]


def _named(aggregate: str) -> tuple[str, int]:
    kind, _, number = aggregate.rpartition("-")
    return kind, int(number)
