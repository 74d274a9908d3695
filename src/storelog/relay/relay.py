"""The relay: one is active at a time (an advisory lock on its connection), the others stand by.

Before it sends anything (sending.py), it sees that Kafka still has what was sent, and that the log
is the one that Kafka has seen.
Next: relay/sending.py
"""

import asyncio
import time
from contextlib import aclosing
from typing import Any

import asyncpg
import structlog

from storelog import change_lock, postgres
from storelog.config import Settings
from storelog.errors import CannotRun, Unavailable
from storelog.kafka import kafka_failure
from storelog.relay import cursor as cursors
from storelog.relay import kafka_watch, measures
from storelog.relay.cursor import Cursor
from storelog.relay.log_identity import LogIsBehind, check_history
from storelog.relay.publisher import KAFKA_FAILURES, Publisher
from storelog.relay.sending import send_log
from storelog.relay.topics import even_out
from storelog.web.clock import PostgresClock

STANDBY_SECONDS = 1.0
FIRST_BACK_OFF_SECONDS = 0.1
MAX_BACK_OFF_SECONDS = 5.0
# The check takes several requests to Kafka: too many for each batch.
CHECK_SECONDS = 10.0
_log = structlog.get_logger()


class Relay:
    """Runs until it is cancelled; errors of the servers are retried for ever, with back-off."""

    def __init__(self, settings: Settings) -> None:
        if settings.postgres_url is None:
            raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
        self._settings = settings
        self._url = settings.postgres_url
        self.clock = PostgresClock()
        self._cursor: Cursor | None = None
        self._has_led = False
        self._check_at = 0.0
        self._wanted_lanes: int | None = None
        self._waits_for: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return what health shows. Raises Unavailable while another relay is the active one."""
        if self._cursor is None and self._wanted_lanes is not None:
            raise Unavailable(
                f"A change to {self._wanted_lanes} lanes is under way: nothing is sent until it has"
                " ended or was taken back."
            )
        if self._cursor is None:
            waits_for = self._waits_for or "it starts, stands by, or a server is away."
            raise Unavailable(f"This relay is not active: {waits_for}")
        return {"position": self._cursor.position, **self.clock.facts()}

    async def measure(self) -> None:
        """Read how far behind the relay is, for a scrape."""
        measures.ACTIVE.set(self._cursor is not None)
        await measures.measure(self._url)

    async def run(self) -> None:
        """Relay for ever. Raises HistoryMismatch when the log is not the one Kafka has seen."""
        back_off = FIRST_BACK_OFF_SECONDS
        while True:
            try:
                await self._run_once()
                self._waits_for = None
                back_off = FIRST_BACK_OFF_SECONDS
            except (*postgres.FAILURES, *KAFKA_FAILURES) as error:
                measures.RETRIES.add()
                # It has worked since the last failure, so this one begins with short waits again.
                if self._has_led:
                    back_off, self._has_led = FIRST_BACK_OFF_SECONDS, False
                reason = self._waits_for = kafka_failure(error)
                _log.warning("relay waits for a server", error=reason, seconds=back_off)
                await asyncio.sleep(back_off)
                back_off = min(2 * back_off, MAX_BACK_OFF_SECONDS)

    async def _run_once(self) -> None:
        connection = await cursors.connect(self._url)
        publisher = Publisher(self._settings)
        try:
            await self.clock.keep_current(connection)
            self._wanted_lanes = await change_lock.wanted_lanes(connection)
            if self._wanted_lanes is not None or not await cursors.lead(connection):
                await asyncio.sleep(STANDBY_SECONDS)
                return
            # Before anything is sent: mixing two logs on Kafka could not be undone.
            await self._check_kafka(connection)
            await self._check_history(connection, publisher)
            await asyncio.to_thread(even_out, self._settings)
            await self._lead(connection, publisher)
        finally:
            self._cursor = None
            connection.terminate()
            publisher.close()

    async def _check_kafka(self, connection: asyncpg.Connection) -> None:
        """Check that Kafka still has what was sent. Raises HistoryMismatch, KafkaException."""
        self._check_at = time.monotonic() + CHECK_SECONDS
        now = await asyncio.to_thread(kafka_watch.look, self._settings)
        known, sent = await kafka_watch.read_known(connection)
        done: kafka_watch.Applied = {}
        if kafka_watch.has_begun_later(known, now):
            done = await asyncio.to_thread(kafka_watch.applied, self._settings)
        lost = kafka_watch.missing(self._settings, known, now, sent, done)
        if lost is not None:
            raise kafka_watch.mismatch(lost)
        await kafka_watch.keep(connection, now)

    async def _check_history(self, connection: asyncpg.Connection, publisher: Publisher) -> None:
        """Check that the log has what Kafka has; if not, tell the projectors and raise."""
        try:
            await check_history(connection, self._settings)
        except LogIsBehind as behind:
            publisher.history = (await cursors.histories(connection))[-1]
            head, lanes = await cursors.read_end(connection)
            publisher.announce_behind(head, behind.position, lanes)
            await publisher.settle()
            raise

    async def _lead(self, connection: asyncpg.Connection, publisher: Publisher) -> None:
        """Send the log from the cursor on, until another relay takes over or a server is away."""
        cursor = await cursors.take_over(connection)
        if not await cursors.is_mine(connection, cursor.epoch):
            raise Unavailable("the lanes are about to change")
        self._cursor = cursor
        publisher.lanes_since = await cursors.lanes_since(connection)
        publisher.history = (await cursors.histories(connection))[-1]
        _log.info("relay is active", position=cursor.position, epoch=cursor.epoch)
        async with aclosing(send_log(connection, publisher, cursor, self.clock)) as moves:
            async for moved in moves:
                self._has_led |= moved.position > cursor.position
                self._cursor = moved
                if time.monotonic() >= self._check_at:
                    await self._check_kafka(connection)
