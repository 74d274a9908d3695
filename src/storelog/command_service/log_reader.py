"""Reads the log, whole or of one aggregate, in order. Next: relay/relay.py"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from storelog.envelope import Envelope

_EVENT_COLUMNS = """position, hash, event_id, aggregate_type, aggregate_id, version, event_type,
    schema_version, payload, occurred_at, recorded_at, correlation_id, causation_id, caller,
    traceparent"""


async def read_events(
    pool: asyncpg.Pool, aggregate: str | None, after: int, limit: int
) -> list[Envelope]:
    """Return at most `limit` events above position `after`, all or one aggregate's."""
    if aggregate is None:
        rows = await pool.fetch(
            f"SELECT {_EVENT_COLUMNS} FROM events WHERE position > $1 ORDER BY position LIMIT $2",
            after,
            limit,
        )
    else:
        kind, _, number = aggregate.rpartition("-")
        rows = await pool.fetch(
            f"SELECT {_EVENT_COLUMNS} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2"
            " AND position > $3 ORDER BY version LIMIT $4",
            kind,
            int(number),
            after,
            limit,
        )
    return [envelope_from_row(row) for row in rows]


def envelope_from_row(row: Sequence[Any]) -> Envelope:
    """Return the envelope from a row of `_EVENT_COLUMNS`."""
    position, event_hash, event_id, kind, number, version, event_type, schema, payload, *rest = row
    return Envelope(
        position,
        event_hash,
        event_id,
        kind,
        number,
        version,
        event_type,
        schema,
        payload.encode(),
        *rest,
    )
