"""Sends events of the log to Kafka again, as the relay sent them; readers drop what they have.

Only what the relay has sent before: it alone sends an event first, so order is kept.
Next: relay/publisher.py
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from storelog.config import Settings
from storelog.errors import BadUse, CannotRun
from storelog.event_codec import lane_of_event
from storelog.reasons import reason
from storelog.relay import cursor, kafka_watch
from storelog.relay.publisher import KAFKA_FAILURES, Publisher
from storelog.relay.topics import ensure_topics

BATCH_EVENTS = 2_000
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Resent:
    """What was sent again: positions `first` to `last`, both included."""

    first: int
    last: int
    events: int


async def resend(settings: Settings, first: int, last: int | None, progress: Progress) -> Resent:
    """Send the events from `first` to `last` (default: all that the relay has sent) again.

    Raises BadUse where the relay has not been there yet, CannotRun when a server is away.
    """
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    try:
        connection = await cursor.connect(settings.postgres_url)
    except cursor.AWAY as error:
        raise CannotRun(f"PostgreSQL does not answer: {reason(error)}") from error
    publisher = Publisher(settings)
    try:
        return await _resend(settings, connection, publisher, first, last, progress)
    except KAFKA_FAILURES as error:
        raise CannotRun(f"Kafka: {error}") from error
    except cursor.AWAY as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error
    finally:
        connection.terminate()
        await asyncio.to_thread(publisher.close)


async def _resend(
    settings: Settings,
    connection: asyncpg.Connection,
    publisher: Publisher,
    first: int,
    last: int | None,
    progress: Progress,
) -> Resent:
    row = await connection.fetchrow("SELECT position, lanes FROM relay_cursor")
    sent, count = row["position"], len(row["lanes"])
    last = sent if last is None else last
    if not first <= last <= sent:
        raise BadUse(f"--from {first} --to {last}: the relay has sent positions 1 to {sent}")
    await asyncio.to_thread(ensure_topics, settings, count)
    lanes = await lane_ends(connection, first - 1, count)
    at = first - 1
    while at < last:
        events = (await cursor.read_some(connection, at, min(BATCH_EVENTS, last - at))).events
        lanes = await publisher.publish(events, lanes)
        at = events[-1].position
        progress("sent again", at - first + 1, last - first + 1)
    # Whatever Kafka had lost before is there again, as far as was asked for.
    await kafka_watch.keep(connection, await asyncio.to_thread(kafka_watch.look, settings))
    return Resent(first, last, last - first + 1)


async def lane_ends(connection: asyncpg.Connection, position: int, count: int) -> tuple[int, ...]:
    """Return the last position up to `position` in each of `count` lanes, found backwards."""
    ends = [0] * count
    left = count
    while position and left:
        start = max(0, position - BATCH_EVENTS)
        for event in reversed(await cursor.read_after(connection, start, position - start)):
            lane = lane_of_event(event.aggregate_type, event.aggregate, event.payload, count)
            if not ends[lane]:
                ends[lane], left = event.position, left - 1
        position = start
    return tuple(ends)
