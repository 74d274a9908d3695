"""Builds a whole new read model beside the live one, compares the two, and promotes on demand.

Reads and projection go on meanwhile. After an interruption it continues where it was; an
interrupted promotion is undone if the pointer has not moved, and completed otherwise. The position
of responses never goes back, and the old read model is kept for one rollback.
Next: upkeep/fill.py
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from pymongo.database import Database
from pymongo.errors import PyMongoError

from storelog import change_lock, postgres
from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.interrupted_changes import settle_all
from storelog.projector.checkpoints import CHECKPOINTS, Fenced, update_each
from storelog.projector.databases.connection import PATIENT_SECONDS, connect, pointer_of, sibling
from storelog.projector.databases.kept import BUILDING_ID, drop_older, in_use
from storelog.projector.databases.promotion import freeze, switch, thaw
from storelog.projector.databases.shapes import read_shapes
from storelog.read_models.shapes import differing
from storelog.read_side import POINTERS
from storelog.reasons import reason
from storelog.relay import cursor
from storelog.relay.cursor import KEEPALIVES
from storelog.upkeep.beating import beating
from storelog.upkeep.carry_over import carry_discards, carry_foreign, discarded_ids, lacks_discards
from storelog.upkeep.fill import Fill
from storelog.upkeep.live_model import compare_with_live, may_follow, other_event, position_of
from storelog.upkeep.rebuilt import Rebuilt
from storelog.upkeep.sources import KafkaSource, Progress, fill_from_log

# So few that the standstill in which they are read is short.
CLOSE_EVENTS = 2_000
MAX_ROUNDS = 20
# A projector may end a promotion that takes too long; then it is tried again.
PROMOTIONS = 3
Document = dict[str, Any]


async def rebuild(
    settings: Settings,
    source: str,
    progress: Progress,
    *,
    promote: bool,
    restore_discarded: bool = False,
) -> Rebuilt:
    """Build from `kafka` or `log`, compare, and promote if that is wanted. Raises CannotRun.

    Events that the live read model leaves out are left out of the new one, unless restored.
    """
    async with changing(settings) as (connection, home):
        builder = Builder(settings, connection, home, progress, restore_discarded=restore_discarded)
        return await builder.run(source, promote=promote)


async def roll_back(settings: Settings, progress: Progress) -> Rebuilt:
    """Make the read model before the last promotion the active one again. Raises CannotRun."""
    async with changing(settings) as (connection, home):
        return await Builder(settings, connection, home, progress).roll_back()


@asynccontextmanager
async def opened(
    settings: Settings,
) -> AsyncIterator[tuple[asyncpg.Connection, Database[Document]]]:
    """Yield a connection to the log and the URI's database; turn their errors into CannotRun."""
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    home = connect(settings, look_seconds=PATIENT_SECONDS)
    try:
        connection = await postgres.connect(
            settings.postgres_url,
            timeout=5,
            command_timeout=60,
            server_settings={"application_name": "storelog rebuild", **KEEPALIVES},
        )
        try:
            yield connection, home
        finally:
            connection.terminate()
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {reason(error)}") from error
    except Fenced as error:
        raise CannotRun(f"another rebuild or promotion is under way: {error}") from error
    finally:
        home.client.close()


@asynccontextmanager
async def changing(
    settings: Settings,
) -> AsyncIterator[tuple[asyncpg.Connection, Database[Document]]]:
    """Lock the read side for changes, and settle interrupted ones first. Raises CannotRun.

    The connection that reads the log holds the lock, so neither can be lost without the other.
    """
    async with opened(settings) as (connection, home):
        await change_lock.take(connection)
        await settle_all(connection, home)
        yield connection, home


class Builder:
    """One run: what a rebuild, a roll back and a change of lanes share."""

    def __init__(
        self,
        settings: Settings,
        connection: asyncpg.Connection,
        home: Database[Document],
        progress: Progress,
        *,
        restore_discarded: bool = False,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._home = home
        self._progress = progress
        self._restore_discarded = restore_discarded
        self._discarded: set[str] = set()

    @property
    def _live(self) -> Database[Document]:
        return sibling(self._home, pointer_of(self._home).database)

    async def run(self, source: str, *, promote: bool) -> Rebuilt:
        """Fill, compare, and promote if that is wanted."""
        name = await self.begin(source)
        target = sibling(self._home, name)
        sent, lanes = await self.sent()
        fill = await self.fill(target, lanes)
        done, began, start = Rebuilt(name), time.monotonic(), fill.position
        if source == "kafka":
            origin = await cursor.read_origin(self._connection)
            kafka = KafkaSource(self._settings, self._connection, lanes, origin)
            await asyncio.to_thread(kafka.fill, fill, sent, self._progress)
        await fill_from_log(self._connection, fill, sent, self._progress)
        done.position, done.events = fill.position, fill.position - start
        done.seconds = time.monotonic() - began
        live = self._live
        is_waiting = await asyncio.to_thread(may_follow, live, lanes, is_promoting=promote)
        done.report = await compare_with_live(
            target, live, fill.position, self._progress, is_waiting=is_waiting
        )
        if promote:
            done.previous = await self._promote(name, fill)
            await asyncio.to_thread(drop_older, self._home)
            done.is_promoted, done.position = True, fill.position
        return done

    async def begin(self, source: str) -> str:
        """Return the database to fill: one that was begun from the same source, else a new one.

        One with events that were discarded since, or of a history that the log has left, or with
        another release's shapes, is begun anew.
        """
        find = self._home[POINTERS].find_one
        name = (await asyncio.to_thread(find, {"_id": BUILDING_ID}) or {}).get("database")
        is_of_log = name is None or None is await other_event(
            self._connection, sibling(self._home, name)
        )
        return await asyncio.to_thread(self._begin, source, is_of_log=is_of_log)

    def _begin(self, source: str, *, is_of_log: bool) -> str:
        if self._restore_discarded:
            source = f"{source}, nothing left out"
        pointers = self._home[POINTERS]
        begun = pointers.find_one({"_id": BUILDING_ID})
        name = None if begun is None else begun["database"]
        if name in in_use(self._home):
            # A promotion was interrupted after its switch, so this database is in use.
            name = None
        if begun is not None and name is not None:
            known = sibling(self._home, name)
            may_go_on = self._restore_discarded or not lacks_discards(known, self._live)
            may_go_on = may_go_on and is_of_log and not differing(read_shapes(known))
            if begun["source"] == source and may_go_on:
                return str(name)
            self._home.client.drop_database(name)
        number = int(begun["number"]) + 1 if begun is not None else 1
        while f"{self._home.name}_r{number}" in in_use(self._home):
            number += 1
        name = f"{self._home.name}_r{number}"
        self._home.client.drop_database(name)
        fields = {"database": name, "source": source, "number": number}
        pointers.update_one({"_id": BUILDING_ID}, {"$set": fields}, upsert=True)
        return name

    async def fill(self, target: Database[Document], lanes: int) -> Fill:
        """Return the filling of a database, which continues where it was."""
        live = self._live
        self._discarded = discarded_ids(live)
        if not self._restore_discarded:
            await carry_discards(self._connection, target, live, lanes)
        history = (await cursor.histories(self._connection))[-1].id
        prefix = self._settings.kafka_topic_prefix
        return await asyncio.to_thread(Fill, target, lanes, prefix, history)

    def take_over_letters(self, target: Database[Document]) -> None:
        """Copy the live one's foreign records, while it stands still. Raises CannotRun.

        If an event was discarded since the filling began, the target may hold it already.
        """
        if discarded_ids(self._live) != self._discarded:
            raise CannotRun("an event was discarded meanwhile: run the same command again")
        carry_foreign(target, self._live)

    async def sent(self) -> tuple[int, int]:
        """Return the last position that the relay has sent, and the number of lanes."""
        row = await self._connection.fetchrow("SELECT position, lanes FROM relay_cursor")
        return row["position"], len(row["lanes"])

    async def _promote(self, name: str, fill: Fill) -> str:
        """Catch up, hold the live one still, reach it, switch; return what was active."""
        for _ in range(PROMOTIONS):
            await self.catch_up(fill)
            active = pointer_of(self._home).database
            token = await asyncio.to_thread(freeze, self._home, has_beats=True)
            try:
                async with beating(self._home, token):
                    live = sibling(self._home, active)
                    end = await self._end_of(live)
                    await fill_from_log(self._connection, fill, end, self._progress)
                    await asyncio.to_thread(fill.take_offsets, live)
                    target = sibling(self._home, name)
                    await asyncio.to_thread(self.take_over_letters, target)
                    await asyncio.to_thread(switch, self._home, token, name)
            except Fenced:
                continue
            finally:
                await asyncio.to_thread(thaw, self._home, token)
            return active
        raise CannotRun("the live read model moves on faster than this one: try again later")

    async def _end_of(self, live: Database[Document]) -> int:
        """Return the last position of the live read model, which stands still.

        If it holds events that the log lacks, it may have skipped events that were sent since.
        """
        if await other_event(self._connection, live) is not None:
            written: int = await self._connection.fetchval("SELECT position FROM log_head")
            return written
        return await asyncio.to_thread(reached, self._home)

    async def catch_up(self, fill: Fill) -> None:
        """Fill from the log until the relay is close."""
        for _ in range(MAX_ROUNDS):
            sent, _lanes = await self.sent()
            if sent - fill.position <= CLOSE_EVENTS:
                return
            await fill_from_log(self._connection, fill, sent, self._progress)

    async def roll_back(self) -> Rebuilt:
        """Bring the read model before the last promotion up to date, and promote it."""
        pointer = await asyncio.to_thread(pointer_of, self._home)
        if pointer.previous is None:
            raise CannotRun("there was no promotion: nothing to roll back to")
        target = sibling(self._home, pointer.previous)
        known = await asyncio.to_thread(lambda: list(target[CHECKPOINTS].find({})))
        _, lanes = await self.sent()
        if len(known) != lanes:
            raise CannotRun(
                f"the read model {pointer.previous} has {len(known)} lanes, now there are {lanes}:"
                " build a new one with `storelog rebuild --promote`"
            )
        other = await other_event(self._connection, target)
        if other is not None:
            raise CannotRun(
                f"the read model {pointer.previous} holds event {other} of a history that the log"
                " has left: build a new one with `storelog rebuild --promote`"
            )
        thawed = {"$unset": {"frozen": ""}}
        await asyncio.to_thread(update_each, target, {}, thawed)
        fill = await self.fill(target, lanes)
        done, began, start = Rebuilt(pointer.previous), time.monotonic(), fill.position
        done.previous = await self._promote(pointer.previous, fill)
        await asyncio.to_thread(drop_older, self._home)
        done.position, done.events = fill.position, fill.position - start
        done.seconds, done.is_promoted = time.monotonic() - began, True
        return done


def reached(home: Database[Document]) -> int:
    """Return the highest position that the live read model has, in any lane or for readers."""
    live = sibling(home, pointer_of(home).database)
    ends = [int(place["position"]) for place in live[CHECKPOINTS].find({})]
    return max([*ends, position_of(live)])
