"""Reads the log, whole or of one aggregate, in order: a page costs the same wherever it begins.

Next: relay/relay.py
"""

import time

import asyncpg

from storelog.envelope import EVENT_COLUMNS, Envelope, envelope_from_row
from storelog.log_history import CURRENT

# The payload of an order of 2,000 lines has some 250 KB.
MAX_PAGE_BYTES = 2 * 1_048_576
READ_AT_ONCE = 50
# A page that takes longer ends with what there is.
PAGE_SECONDS = 0.4

# An upper bound of a payload's size, whose true value would take decompressing it: pglz packs at
# most 273 bytes into 3 bytes and a bit, lz4 255 into one.
_BYTES = """pg_column_size(payload)::bigint
    * CASE pg_column_compression(payload) WHEN 'pglz' THEN 91 WHEN 'lz4' THEN 255 ELSE 1 END"""
# The next $1 events in order, but none beyond $2 bytes of payloads; each with the position of the
# event that follows it, NULL for the last of all.
_SOME = f"""SELECT {EVENT_COLUMNS}, following FROM (
    SELECT {EVENT_COLUMNS}, lead(position) OVER page AS following,
        sum({_BYTES}) OVER (page ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
    FROM events WHERE {{what}} WINDOW page AS (ORDER BY {{order}}) ORDER BY {{order}} LIMIT $1
) AS next WHERE coalesce(bytes_before, 0) < $2::bigint ORDER BY {{order}}"""
BY_POSITION = _SOME.format(what="position > $3", order="position")
BY_VERSION = _SOME.format(
    what="aggregate_type = $4 AND aggregate_id = $5 AND version > $3", order="version"
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


async def read_head(connection: asyncpg.Connection) -> tuple[int, str]:
    """Return the log's last position, and its history."""
    row = await connection.fetchrow(f"SELECT position, {CURRENT} AS history FROM log_head")
    return row["position"], row["history"]


async def read_page(
    connection: asyncpg.Connection, aggregate: str | None, after: int, limit: int
) -> tuple[list[Envelope], int | None]:
    """Return a page of events above position `after`, and the position to go on after.

    It ends at `limit` events, with the one that makes the payloads MAX_PAGE_BYTES, or after
    PAGE_SECONDS; the position is None where the log ended before. No more than that is read.
    """
    give_up_at = time.monotonic() + PAGE_SECONDS
    named = None if aggregate is None else _named(aggregate)
    cursor = after if named is None else await version_at(connection, named, after)
    page: list[Envelope] = []
    left = MAX_PAGE_BYTES
    while True:
        some = min(READ_AT_ONCE, limit - len(page))
        if named is None:
            rows = await connection.fetch(BY_POSITION, some, left, cursor)
        else:
            rows = await connection.fetch(BY_VERSION, some, left, cursor, *named)
        found = [envelope_from_row(row[:-1]) for row in rows]
        page += found
        left -= sum(len(event.payload) for event in found)
        if not rows or rows[-1]["following"] is None:
            return page, None
        if len(page) == limit or left <= 0 or time.monotonic() > give_up_at:
            return page, page[-1].position
        cursor = page[-1].position if named is None else page[-1].version


async def version_at(
    connection: asyncpg.Connection, aggregate: tuple[str, int], position: int
) -> int:
    """Return the aggregate's version at a position: 0 where it has no event at or below it."""
    if position == 0:
        return 0
    version = await connection.fetchval(_VERSION_AT, *aggregate, position)
    return int(version or await connection.fetchval(BISECT, *aggregate, position))


def _named(aggregate: str) -> tuple[str, int]:
    kind, _, number = aggregate.rpartition("-")
    return kind, int(number)
