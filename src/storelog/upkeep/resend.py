"""Sends events of the log to Kafka again, as the relay sent them; readers drop what they have.

If the range has events that the relay has not sent yet, all of these are sent from the first one,
so that the order is kept; the relay sends them again.
Next: relay/publisher.py
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from storelog import change_lock, postgres
from storelog.config import Settings
from storelog.errors import BadUse, CannotRun
from storelog.kafka import kafka_failure
from storelog.reasons import reason
from storelog.relay import cursor, kafka_watch
from storelog.relay.publisher import KAFKA_FAILURES, Publisher
from storelog.relay.topics import ensure_topics

BATCH_EVENTS = 2_000
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Resent:
    """The events that were sent: positions `first` to `last`, both included."""

    first: int
    last: int
    events: int


async def resend(settings: Settings, first: int, last: int | None, progress: Progress) -> Resent:
    """Send the events from `first` to `last` (default: the log's last) again.

    Raises BadUse for positions that the log does not have, CannotRun when a server is away.
    """
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    try:
        connection = await cursor.connect(settings.postgres_url)
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL does not respond: {reason(error)}") from error
    publisher = Publisher(settings)
    try:
        return await _resend(settings, connection, publisher, first, last, progress)
    except KAFKA_FAILURES as error:
        raise CannotRun(kafka_failure(error)) from error
    except postgres.FAILURES as error:
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
    # This undoes a change of lanes that was interrupted.
    await change_lock.wanted_lanes(connection)
    row = await connection.fetchrow(
        "SELECT c.position AS sent, c.lanes, c.lanes_wanted, h.position AS written"
        " FROM relay_cursor c, log_head h"
    )
    if row["lanes_wanted"] is not None:
        # The change has read the log's end: no later event may come in the old lanes.
        raise CannotRun("a change of lanes is under way: run this again when it has ended")
    written, count = row["written"], len(row["lanes"])
    last = written if last is None else last
    if not first <= last <= written:
        raise BadUse(f"--from {first} --to {last}: the log has positions 1 to {written}")
    if last > row["sent"]:
        # Events that are sent ahead of the relay must leave no gap behind them.
        first = min(first, row["sent"] + 1)
    await asyncio.to_thread(ensure_topics, settings, count)
    publisher.history = (await cursor.histories(connection))[-1]
    lanes = await cursor.lane_ends(connection, first - 1, count)
    at = first - 1
    while at < last:
        events = (await cursor.read_some(connection, at, min(BATCH_EVENTS, last - at))).events
        lanes = await publisher.publish(events, lanes)
        at = events[-1].position
        progress("sent again", at - first + 1, last - first + 1)
    # Kafka has the events again, so its present state is what the relay is to compare with.
    await kafka_watch.keep(connection, await asyncio.to_thread(kafka_watch.look, settings))
    return Resent(first, last, last - first + 1)
