"""Raises the number of lanes: builds a read model for it, drains to one position, switches.

While the new read model is filled, everything goes on. Then the relay stands by, all that Kafka may
have is sent and folded, the topics get their partitions, the pointer and the relay's row move on.
Interrupted anywhere, the same command goes on where it was.
Next: upkeep/rebuild.py
"""

import asyncio
import time
from dataclasses import dataclass

import asyncpg
from confluent_kafka import KafkaException
from pymongo.database import Database

from storelog.config import Settings
from storelog.errors import BadUse, CannotRun
from storelog.kafka import kafka_failure
from storelog.projector.checkpoints import CHECKPOINTS, Fenced
from storelog.projector.database import pointer_of, sibling
from storelog.projector.promotion import switch, thaw
from storelog.relay import cursor, kafka_watch
from storelog.relay.history import check_history, newest_marks
from storelog.relay.publisher import KAFKA_FAILURES, Publisher
from storelog.relay.topics import add_partitions
from storelog.upkeep.fill import Document, Fill
from storelog.upkeep.rebuild import Builder, freeze_in_turn, opened, reached
from storelog.upkeep.resend import lane_ends
from storelog.upkeep.sources import Progress, fill_from_log

LEAD_SECONDS = 60.0
MAX_LANES = 256
TRIES = 3


@dataclass(frozen=True, slots=True)
class Lanes:
    """The number of lanes, the last position in each, and what a change waits for."""

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
    async with opened(settings) as (connection, home):
        now = await _read(connection)
        if wanted < now.lanes or wanted > MAX_LANES:
            raise BadUse(f"lanes set {wanted}: Kafka's partitions only grow, from {now.lanes} now")
        if wanted > now.lanes:
            try:
                await _Change(settings, connection, home, progress, wanted).run()
            except (*KAFKA_FAILURES, KafkaException) as error:
                raise CannotRun(f"{kafka_failure(error)}; the same command goes on") from error
        elif now.wanted is not None:
            raise BadUse(f"a change to {now.wanted} lanes waits: `storelog lanes set {now.wanted}`")
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

    async def run(self) -> None:
        if not await asyncio.to_thread(self._is_switched):
            builder = Builder(self._settings, self._connection, self._home, self._progress)
            name = await asyncio.to_thread(builder.begin, f"lanes-{self._wanted}")
            fill = await builder.fill(sibling(self._home, name), self._wanted)
            await builder.catch_up(fill)
            await self._take_the_relays_place()
            position = await self._drain()
            before = pointer_of(self._home).database
            await self._switch(builder, name, fill, position)
            await asyncio.to_thread(builder.forget, before)
        else:
            await self._take_the_relays_place()
        await self._let_the_relay_go_on()

    def _is_switched(self) -> bool:
        """Tell whether the active read model has the wanted lanes: only the row is left to move."""
        active = sibling(self._home, pointer_of(self._home).database)
        return active[CHECKPOINTS].count_documents({}) == self._wanted

    async def _take_the_relays_place(self) -> None:
        """Say that a change waits, and become the active relay, which sends nothing more."""
        await self._connection.execute(
            "UPDATE relay_cursor SET lanes_wanted = $1, epoch = epoch + 1", self._wanted
        )
        give_up_at = time.monotonic() + LEAD_SECONDS
        while not await cursor.lead(self._connection):
            if time.monotonic() > give_up_at:
                raise CannotRun("the relay does not stand by; the same command goes on")
            await asyncio.sleep(0.1)

    async def _drain(self) -> int:
        """Send again what a relay may have sent without its row; return the last position sent."""
        await check_history(self._connection, self._settings)
        proven_from = await self._connection.fetchval("SELECT proven_from FROM relay_cursor")
        marks = await asyncio.to_thread(newest_marks, self._settings, proven_from)
        now = await cursor.take_over(self._connection)
        last = max([now.position, *(mark.position for mark in marks)])
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
        return last

    async def _switch(self, builder: Builder, name: str, fill: Fill, position: int) -> None:
        for _ in range(TRIES):
            token = await freeze_in_turn(self._home)
            try:
                # Readers were told of what a relay sent whose row did not follow.
                position = max(position, await asyncio.to_thread(reached, self._home))
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
                await asyncio.to_thread(switch, self._home, token, name)
            except Fenced:
                continue
            finally:
                await asyncio.to_thread(thaw, self._home, token)
            return
        raise CannotRun("the read model could not be switched in time; the same command goes on")

    async def _let_the_relay_go_on(self) -> None:
        position = await self._connection.fetchval("SELECT position FROM relay_cursor")
        ends = await lane_ends(self._connection, position, self._wanted)
        await self._connection.execute(
            "UPDATE relay_cursor SET lanes = $1, lanes_wanted = NULL, epoch = epoch + 1", list(ends)
        )
