"""Reads the log, whole or of one aggregate, in order. Next: relay/relay.py"""

import asyncpg

from storelog.envelope import EVENT_COLUMNS, Envelope, envelope_from_row


async def read_head(pool: asyncpg.Pool) -> int:
    """Return the log's last position."""
    return int(await pool.fetchval("SELECT position FROM log_head"))


async def read_events(
    pool: asyncpg.Pool, aggregate: str | None, after: int, limit: int
) -> list[Envelope]:
    """Return at most `limit` events above position `after`, all or one aggregate's."""
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
