"""The active relay's loop: sends every event of the log to Kafka, in order, at least once.

It reads above its cursor, sends the events and a watermark, waits for all acknowledgements, and
moves the cursor; after a crash it repeats at most one batch. Nothing is published that was not
committed.
Next: relay/publisher.py
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import datetime

import asyncpg

from storelog.envelope import Envelope
from storelog.errors import Unavailable
from storelog.relay import cursor as cursors
from storelog.relay import measures
from storelog.relay.cursor import Cursor, Reading
from storelog.relay.publisher import Publisher
from storelog.web.clock import PostgresClock

BATCH_EVENTS = 4_000
# After a reading of at least so many events, the next follows no sooner than so many seconds later.
PACES = ((100, 0.1), (50, 0.06), (8, 0.03), (0, 0.01))
IDLE_SECONDS = 1.0


async def send_log(
    connection: asyncpg.Connection, publisher: Publisher, cursor: Cursor, clock: PostgresClock
) -> AsyncGenerator[Cursor, None]:
    """Send what the log has above the cursor, for ever; yield the cursor after each batch.

    It is yielded once a second at least. Raises Unavailable when another relay has taken over.
    """
    woken = asyncio.Event()
    await connection.add_listener("storelog_events", lambda *_: woken.set())
    newest: Envelope | None = None
    if cursor.position:
        newest = (await cursors.read_after(connection, cursor.position - 1, 1))[0]
    while True:
        woken.clear()
        if not await cursors.is_mine(connection, cursor.epoch):
            raise Unavailable("another relay has taken over, or the lanes are about to change")
        await clock.keep_current(connection)
        read_at = await _ended_at(connection, cursor.position)
        publisher.announce(newest, cursor.position, cursor.lanes, read_at)
        await publisher.settle()
        reading = await cursors.read_some(connection, cursor.position, BATCH_EVENTS)
        while reading.events:
            pace_until = time.monotonic() + _pace(len(reading.events))
            lanes, following = await _send(connection, publisher, reading, cursor)
            newest = reading.events[-1]
            moved = Cursor(newest.position, cursor.epoch, lanes)
            # Only after Kafka has acknowledged everything: a crash repeats events, never skips.
            await cursors.move(connection, cursor, moved)
            cursor = moved
            yield cursor
            reading = following
            if not reading.events:
                await asyncio.sleep(max(0.0, pace_until - time.monotonic()))
                reading = await cursors.read_some(connection, cursor.position, BATCH_EVENTS)
        yield cursor
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await woken.wait()
        except TimeoutError:
            continue


async def _ended_at(connection: asyncpg.Connection, position: int) -> datetime | None:
    """Return when the log ended at a position, None where it goes on: that takes no lock."""
    if await cursors.is_behind(connection, position):
        return None
    return await cursors.log_ended_at(connection, position)


def _pace(events: int) -> float:
    """Return the minimum of seconds from one reading of the log to the next.

    Many small batches would cost Kafka and MongoDB far more than the events in them, so a busy log
    is read less often than a quiet one.
    """
    return next(seconds for least, seconds in PACES if events >= least)


async def _send(
    connection: asyncpg.Connection, publisher: Publisher, reading: Reading, cursor: Cursor
) -> tuple[tuple[int, ...], Reading]:
    """Publish the events; return the lanes' last positions, and the next events of a backlog.

    The next events of a backlog are read while Kafka acknowledges these: that saves the time of a
    query in each batch.
    """
    events, following = reading.events, Reading((), is_full=False)
    with measures.PUBLISH.timing():
        sending = asyncio.create_task(publisher.publish(events, cursor.lanes, is_announced=True))
        try:
            if reading.is_full:
                last = events[-1].position
                following = await cursors.read_some(connection, last, BATCH_EVENTS)
        finally:
            lanes = await sending
    measures.BATCH_EVENTS.observe(len(events))
    measures.EVENTS.add(len(events))
    return lanes, following
