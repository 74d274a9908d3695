"""Raises the number of lanes: builds a read model for it, drains to one position, switches.

While the new read model is filled, everything goes on. Then the relay stands by, everything that it
may have read is sent and folded, and the topics get their partitions. The relay's row decides: if
the change is interrupted before the row has moved, it is undone; after that the pointer follows.
Next: upkeep/rebuild.py
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
from confluent_kafka import KafkaException
from pymongo.database import Database

from storelog import change_lock, postgres
from storelog.config import Settings
from storelog.envelope import format_time
from storelog.errors import BadUse, CannotRun
from storelog.kafka import kafka_failure
from storelog.projector.checkpoints import Fenced
from storelog.projector.databases.connection import pointer_of, sibling
from storelog.projector.databases.kept import drop_older
from storelog.projector.databases.promotion import freeze, switch, thaw
from storelog.read_side import LaneChange
from storelog.relay import cursor, kafka_watch
from storelog.relay.log_identity import check_history
from storelog.relay.publisher import KAFKA_FAILURES, Publisher
from storelog.relay.topics import add_partitions
from storelog.upkeep.fill import Document, Fill
from storelog.upkeep.rebuild import Builder, changing, opened, reached
from storelog.upkeep.sources import Progress, fill_from_log

LEAD_SECONDS = 60.0
# How long nothing may be sent; if this process is paused, it loses its connection and the lock.
STANDSTILL_SECONDS = 120.0
PAUSED_MS = 30_000
MAX_LANES = 256


@dataclass(frozen=True, slots=True)
class Lanes:
    """The number of lanes, the last position in each, and the number that a change will bring."""

    lanes: int
    positions: list[int]
    wanted: int | None


async def show_lanes(settings: Settings) -> Lanes:
    """Return the lanes as the relay's row has them. Raises CannotRun."""
    async with opened(settings) as (connection, _):
        return await _read(connection)


async def _read(connection: asyncpg.Connection) -> Lanes:
    row = await connection.fetchrow("SELECT lanes, lanes_wanted FROM relay_cursor")
    return Lanes(len(row["lanes"]), list(row["lanes"]), row["lanes_wanted"])


async def set_lanes(settings: Settings, wanted: int, progress: Progress) -> Lanes:
    """Raise the number of lanes to `wanted`. Raises BadUse, CannotRun."""
    async with changing(settings) as (connection, home):
        now = await _read(connection)
        if wanted < now.lanes or wanted > MAX_LANES:
            raise BadUse(f"lanes set {wanted}: Kafka's partitions only grow, from {now.lanes} now")
        if wanted > now.lanes:
            try:
                await _Change(settings, connection, home, progress, wanted).run()
            except (*KAFKA_FAILURES, KafkaException) as error:
                raise CannotRun(f"{kafka_failure(error)}; nothing was changed") from error
        return await _read(connection)


class _Change:
    def __init__(
        self,
        settings: Settings,
        connection: asyncpg.Connection,
        home: Database[Document],
        progress: Progress,
        wanted: int,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._home = home
        self._progress = progress
        self._wanted = wanted
        self._token: str | None = None
        self._may_be_decided = False

    async def run(self) -> None:
        builder = Builder(self._settings, self._connection, self._home, self._progress)
        name = await builder.begin(f"lanes-{self._wanted}")
        fill = await builder.fill(sibling(self._home, name), self._wanted)
        await builder.catch_up(fill)
        limit = asyncio.timeout(STANDSTILL_SECONDS)
        try:
            async with limit:
                await self._take_the_relays_place()
                now = await self._drain()
                await self._switch(builder, name, fill, now)
        except TimeoutError as error:
            if limit.expired():
                raise CannotRun(
                    f"the servers are too slow: no switch within {STANDSTILL_SECONDS:.0f} s;"
                    " nothing was changed"
                ) from error
            raise
        finally:
            await self._take_back()
        await cursor.stand_by(self._connection)
        await asyncio.to_thread(drop_older, self._home)

    async def _take_back(self) -> None:
        """Undo the change, unless it is or may be decided: then the projector completes it.

        If a server is away now, the relay and the projector do it later.
        """
        if self._may_be_decided:
            return
        with suppress(*postgres.FAILURES):
            await change_lock.take_back_lanes(self._connection)
        if self._token is not None:
            await asyncio.to_thread(thaw, self._home, self._token)

    async def _take_the_relays_place(self) -> None:
        """Announce the change, and become the active relay, which then sends nothing more."""
        await self._connection.execute(
            # PostgreSQL then ends the connection of a paused process, and with it the locks.
            f"SET idle_session_timeout = {PAUSED_MS};"
            f" UPDATE relay_cursor SET lanes_wanted = {self._wanted:d}, epoch = epoch + 1"
        )
        give_up_at = time.monotonic() + LEAD_SECONDS
        while not await cursor.lead(self._connection):
            if time.monotonic() > give_up_at:
                raise CannotRun("the relay does not stand by; nothing was changed")
            await asyncio.sleep(0.1)

    async def _drain(self) -> cursor.Cursor:
        """Send what the log has beyond the relay's row; return the row after it.

        A relay that was paused may have read these events, and may send them later in the old
        lanes: up to this position readers expect that.
        """
        await check_history(self._connection, self._settings)
        now = await cursor.take_over(self._connection)
        last = await self._connection.fetchval("SELECT position FROM log_head")
        publisher = Publisher(self._settings)
        try:
            while now.position < last:
                some = min(2_000, last - now.position)
                events = (await cursor.read_some(self._connection, now.position, some)).events
                lanes = await publisher.publish(events, now.lanes)
                moved = cursor.Cursor(events[-1].position, now.epoch, lanes)
                await cursor.move(self._connection, now, moved)
                now = moved
        finally:
            await asyncio.to_thread(publisher.close)
        return now

    async def _switch(self, builder: Builder, name: str, fill: Fill, now: cursor.Cursor) -> None:
        # No earlier relay's watermark has a later time than this, even if the log is ahead of the
        # clock.
        since = await self._connection.fetchval(
            "SELECT greatest(clock_timestamp(),"
            " (SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1))"
        )
        change = LaneChange(name, self._wanted, format_time(since))
        token = self._token = await asyncio.to_thread(freeze, self._home, change)
        # A relay may have sent events, which readers have seen, before its row could follow.
        position = max(now.position, await asyncio.to_thread(reached, self._home))
        await fill_from_log(self._connection, fill, position, self._progress)
        await asyncio.to_thread(add_partitions, self._settings, self._wanted)
        ends = await asyncio.to_thread(kafka_watch.ends, self._settings)
        offsets = [
            {topic: end for (topic, n), end in ends.items() if n == lane}
            for lane in range(self._wanted)
        ]
        await asyncio.to_thread(fill.set_offsets, offsets)
        target = sibling(self._home, name)
        await asyncio.to_thread(builder.take_over_letters, target)
        await self._let_the_relay_go_on(now)
        try:
            await asyncio.to_thread(switch, self._home, token, name)
        except Fenced:
            # This connection was lost just now, and a projector has completed the switch.
            if (await asyncio.to_thread(pointer_of, self._home)).database != name:
                raise

    async def _let_the_relay_go_on(self, now: cursor.Cursor) -> None:
        """Decide the change: from here on it is completed, whatever happens. Raises CannotRun."""
        ends = await cursor.lane_ends(self._connection, now.position, self._wanted)
        # Set before the statement: if its reply is lost, it may have been executed.
        self._may_be_decided = True
        decided = await cursor.set_lanes(self._connection, ends, self._wanted, now.epoch)
        self._may_be_decided = decided
        if not decided:
            raise CannotRun("the change took too long and was taken back: nothing was changed")
