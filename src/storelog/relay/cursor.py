"""The relay's row in PostgreSQL: how far it has published, moved by compare-and-set.

Guarantees one mover: a relay takes the row by raising its epoch, and a relay whose epoch is no
longer the row's stops. Reads the log in order, from the primary.
Next: relay/relay.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from storelog import postgres
from storelog.envelope import (
    EVENT_COLUMNS,
    GENESIS_HASH,
    ChainedEvent,
    Envelope,
    chained_event_from_row,
)
from storelog.errors import CannotRun, HistoryMismatch, Unavailable
from storelog.event_codec import lane_of_event
from storelog.log_history import ALL, Histories, LogHistory
from storelog.origin import Origin

LEADER_LOCK = 0x53746F72656C6F67  # "Storelog"
# These free the locks of a machine that is gone after some 11 seconds.
KEEPALIVES = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
SESSION_SETTINGS = {
    "application_name": "storelog relay",
    "idle_session_timeout": "5000",
    "statement_timeout": "10000",
    **KEEPALIVES,
}
# The payload bytes of one reading of the log: more than those of 4,000 small orders.
READ_BYTES = 8 * 1024 * 1024
# A payload's true size could only be learnt by decompressing it. So one that PostgreSQL has
# compressed (rows from 2,000 bytes) counts so many times its stored size: more than it ever has.
PACKED_FROM = 1_000
PACKED_TIMES = 32
# The events above position $1, in order: at most $2, and none after $3 bytes of payloads.
READ_SOME = f"""SELECT {{columns}} FROM (
    SELECT {{columns}}, sum(pg_column_size(payload)
            * CASE WHEN pg_column_compression(payload) IS NULL THEN 1 ELSE {PACKED_TIMES} END)
        OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
    FROM events WHERE position > $1 ORDER BY position LIMIT $2) AS ahead
    WHERE coalesce(bytes_before, 0) < $3 ORDER BY position"""
_PREVIOUS = """coalesce(lag(hash) OVER (ORDER BY position),
    (SELECT hash FROM events WHERE position = $1)) AS previous_hash"""
_READ_SOME = f"""SELECT taken.*, {_PREVIOUS}
    FROM ({READ_SOME.format(columns=EVENT_COLUMNS)}) AS taken ORDER BY position"""
# Read backwards to find the lanes' ends: few events at once, since each may be large.
LOOK_EVENTS = 200


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to `position` is acknowledged by Kafka; `lanes`: the last position in each."""

    position: int
    epoch: int
    lanes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """Events of the log, in order; `is_full`: more may follow than were read at once."""

    events: Sequence[Envelope]
    is_full: bool


async def connect(postgres_url: str) -> asyncpg.Connection:
    """Open the relay's one connection."""
    return await postgres.connect(
        postgres_url, timeout=5, command_timeout=15, server_settings=SESSION_SETTINGS
    )


async def lead(connection: asyncpg.Connection) -> bool:
    """Try to become the one active relay, for as long as this connection lives."""
    # A lock of the session: PostgreSQL releases it however this process ends.
    return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK))


async def stand_by(connection: asyncpg.Connection) -> None:
    """Let another relay become the active one; this connection may then be idle for any time."""
    await connection.execute(
        f"SELECT pg_advisory_unlock({LEADER_LOCK}); RESET idle_session_timeout"
    )


async def take_over(connection: asyncpg.Connection) -> Cursor:
    """Raise the epoch, so that an earlier relay stops, and return the row. Raises CannotRun."""
    # The lock alone is not enough: a relay that was paused may not know yet that it lost it.
    row = await connection.fetchrow(
        "UPDATE relay_cursor SET epoch = epoch + 1,"
        " proven_from = coalesce(proven_from, position + 1) RETURNING position, epoch, lanes"
    )
    if row is None:
        raise CannotRun("the database has no relay cursor: run `storelog migrate`")
    return Cursor(row["position"], row["epoch"], tuple(row["lanes"]))


async def is_mine(connection: asyncpg.Connection, epoch: int) -> bool:
    """Tell whether this relay still has the row, and no change of lanes waits for it."""
    return bool(
        await connection.fetchval(
            "SELECT epoch = $1 AND lanes_wanted IS NULL FROM relay_cursor", epoch
        )
    )


async def move(connection: asyncpg.Connection, old: Cursor, new: Cursor) -> None:
    """Move the row. Raises Unavailable where another relay has taken it."""
    moved = await connection.fetchval(
        "UPDATE relay_cursor SET position = $1, lanes = $2, moved_at = now()"
        " WHERE position = $3 AND epoch = $4 RETURNING true",
        new.position,
        list(new.lanes),
        old.position,
        old.epoch,
    )
    if not moved:
        raise Unavailable("another relay has taken over, or the lanes are about to change")


async def read_after(
    connection: asyncpg.Connection, position: int, limit: int
) -> Sequence[ChainedEvent]:
    """Return at most `limit` events above `position`, in order and without a gap."""
    rows = await connection.fetch(
        f"SELECT {EVENT_COLUMNS}, {_PREVIOUS} FROM events WHERE position > $1"
        " ORDER BY position LIMIT $2",
        position,
        limit,
    )
    return _without_gap(position, [chained_event_from_row(row) for row in rows])


async def read_end(connection: asyncpg.Connection) -> tuple[ChainedEvent | None, int]:
    """Return the log's last event, None of an empty log, and the number of lanes."""
    row = await connection.fetchrow(
        "SELECT h.position, cardinality(c.lanes) AS lanes FROM log_head h, relay_cursor c"
    )
    found = await read_after(connection, row["position"] - 1, 1) if row["position"] else []
    return (found[0] if found else None), row["lanes"]


async def read_some(connection: asyncpg.Connection, position: int, limit: int) -> Reading:
    """Return the next events like `read_after`, but at most about READ_BYTES of payloads."""
    rows = await connection.fetch(_READ_SOME, position, limit, READ_BYTES)
    events = _without_gap(position, [chained_event_from_row(row) for row in rows])
    size = sum(len(event.payload) for event in events)
    has_large = any(len(event.payload) >= PACKED_FROM for event in events)
    may_be_cut = has_large and size >= READ_BYTES // PACKED_TIMES
    return Reading(events, len(events) == limit or may_be_cut)


def _without_gap(position: int, events: list[ChainedEvent]) -> list[ChainedEvent]:
    # Sending on over a gap would make it permanent for every reader.
    if events and events[-1].position != position + len(events):
        raise HistoryMismatch(f"the log has a gap after position {position}: run `storelog verify`")
    return events


async def is_behind(connection: asyncpg.Connection, position: int) -> bool:
    """Tell whether the log has events after a position."""
    return bool(await connection.fetchval("SELECT position > $1 FROM log_head", position))


async def log_ended_at(connection: asyncpg.Connection, position: int) -> datetime | None:
    """Return PostgreSQL's time at which the log ended with a position and nobody was writing.

    None where it goes on or is being written to. No later event is recorded more than half a second
    before that time.
    """
    at: datetime | None = await connection.fetchval("SELECT log_ended_at($1)", position)
    return at


async def hash_at(connection: asyncpg.Connection, position: int) -> bytes | None:
    """Return the hash of the event at a position, None where the log does not reach it."""
    if position == 0:
        return GENESIS_HASH
    found: bytes | None = await connection.fetchval(
        "SELECT hash FROM events WHERE position = $1", position
    )
    return found


async def lane_ends(connection: asyncpg.Connection, position: int, count: int) -> tuple[int, ...]:
    """Return the last position up to `position` in each of `count` lanes, found backwards."""
    ends = [0] * count
    left = count
    while position and left:
        start = max(0, position - LOOK_EVENTS)
        for event in reversed(await read_after(connection, start, position - start)):
            lane = lane_of_event(event.aggregate_type, event.aggregate, event.payload, count)
            if not ends[lane]:
                ends[lane], left = event.position, left - 1
        position = start
    return tuple(ends)


async def lanes_since(connection: asyncpg.Connection) -> int | None:
    """Return the position up to which events were sent with fewer lanes; None: not known."""
    since: int | None = await connection.fetchval("SELECT lanes_since FROM relay_cursor")
    return since


async def histories(connection: asyncpg.Connection) -> Histories:
    """Return the log's histories, oldest first."""
    return [LogHistory(*row) for row in await connection.fetch(ALL)]


async def read_origin(connection: asyncpg.Connection) -> Origin:
    """Return how the relay's records prove themselves, as the log says; it names no signer."""
    proven_from = await connection.fetchval("SELECT proven_from FROM relay_cursor")
    return Origin("", proven_from, await histories(connection))


async def keep_ahead(
    connection: asyncpg.Connection, position: int | None, histories: Histories
) -> None:
    """Store up to which position Kafka has events that the log lacks; None: it lacks none.

    Stores nothing if the log has a newer history than the one that was compared.
    """
    await connection.execute(
        "UPDATE relay_cursor SET ahead_position = $1, ahead_at = CASE WHEN $1 > 0 THEN now() END"
        " WHERE ahead_position IS DISTINCT FROM $1"
        " AND (SELECT max(number) FROM log_histories) = $2",
        position,
        histories[-1].number,
    )


async def set_lanes(
    connection: asyncpg.Connection, ends: Sequence[int], wanted: int, epoch: int
) -> bool:
    """Complete a change of lanes, so that the relay goes on; False if it was taken back."""
    decided: bool | None = await connection.fetchval(
        "UPDATE relay_cursor SET lanes = $1, lanes_wanted = NULL, epoch = epoch + 1,"
        " lanes_since = position"
        " WHERE lanes_wanted = $2 AND epoch = $3 RETURNING true",
        list(ends),
        wanted,
        epoch,
    )
    return bool(decided)
