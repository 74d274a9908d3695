"""One run of verify: the chain, the state tables, the read model, with one reading of the log.

It changes nothing unless it is to repair the read model, which it then rewrites from the log.
Next: verify/log.py
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import asyncpg
import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from storelog import change_lock, postgres
from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.errors import CannotRun, PoisonRecord
from storelog.query_service.positions.reads import Reads
from storelog.read_models.change import Change, change_of_event
from storelog.read_side import database_name, mongodb_uri
from storelog.reasons import reason
from storelog.verify.anchor import Anchor
from storelog.verify.checks import Checks, Progress
from storelog.verify.keys import Keys
from storelog.verify.log import Chain, positions_above, read_log
from storelog.verify.offsets import Offsets
from storelog.verify.places import WHERE, is_whole
from storelog.verify.pointer import Pointers
from storelog.verify.repair import repair_all
from storelog.verify.report import Report
from storelog.verify.standstill import wait_for_changes
from storelog.verify.state_tables import StateTables
from storelog.verify.times import read_exact_times
from storelog.verify.totals import compare_totals

WAIT_SECONDS = 60.0
# A relay that sends nothing for so long, although there are events to send, is down.
RELAY_SECONDS = 10.0
Document = dict[str, Any]
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=True)


async def verify(
    settings: Settings,
    progress: Progress,
    *,
    repair: bool = False,
    anchor: Anchor | None = None,
) -> Report:
    """Compare everything at the position written now. Raises CannotRun when a server is away.

    `anchor`: signed heads to check; the log's head is added if the log is right.
    """
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    client: AsyncMongoClient[Document] = AsyncMongoClient(
        mongodb_uri(settings),
        serverSelectionTimeoutMS=5_000,
        socketTimeoutMS=60_000,
        appname="storelog verify",
    )
    try:
        connection = await postgres.connect(
            settings.postgres_url,
            timeout=5,
            command_timeout=60,
            server_settings={"application_name": "storelog verify", "jit": "off"},
            is_writing=False,
        )
        await read_exact_times(connection)
        run = _Run(settings, connection, _opened(client, database_name(settings)), progress, anchor)
        return await run.run(has_repair=repair)
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {reason(error)}") from error
    finally:
        await client.close()


def _opened(client: AsyncMongoClient[Document], name: str) -> AsyncDatabase[Document]:
    return client.get_database(
        name,
        codec_options=_OPTIONS,
        read_preference=ReadPreference.PRIMARY,
        write_concern=pymongo.WriteConcern(w="majority", j=True),
    )


class _Run:
    def __init__(
        self,
        settings: Settings,
        connection: asyncpg.Connection,
        home: AsyncDatabase[Document],
        progress: Progress,
        anchor: Anchor | None,
    ) -> None:
        self._anchor = anchor
        self._settings = settings
        self._connection = connection
        self._home = self._database = home
        self._progress = progress
        self._report = Report()
        self._offsets = Offsets(settings, self._report)
        self._has_strays = False
        self._lanes = 0

    async def run(self, *, has_repair: bool) -> Report:
        try:
            return await self._run(has_repair=has_repair)
        finally:
            self._connection.terminate()

    async def _run(self, *, has_repair: bool) -> Report:
        report, connection = self._report, self._connection
        if has_repair:
            # A repair and a change of the read side would undo each other's writes.
            await change_lock.take(connection)
        await wait_for_changes(self._home)
        written = report.position = await connection.fetchval("SELECT position FROM log_head")
        self._lanes = await connection.fetchval("SELECT cardinality(lanes) FROM relay_cursor")
        wanted = await connection.fetchval("SELECT lanes_wanted FROM relay_cursor")
        keys = Keys(self._home.client[self._home.name], report)
        await keys.compare(connection)
        pointers = Pointers(self._home, report)
        await pointers.compare({self._lanes, wanted or self._lanes})
        if has_repair:
            report.repaired += await pointers.repair()
        self._database = _opened(self._home.client, pointers.name)
        places = None
        if has_repair or not pointers.is_wrong:
            places = await self._wait_for(written, wanted, has_repair=has_repair)
        checks = None
        if places is not None:
            await self._offsets.compare(places, connection)
            checks = Checks(
                self._database, connection, report, written, places, self._lanes, _readable_changes
            )
            head = await connection.fetchval("SELECT position FROM log_head")
            newest = await checks.scan(head)
        await self._read_log(checks)
        if checks is not None:
            await checks.finish(newest, self._progress)
            # With stray checkpoints the Query Service's code cannot open a view.
            if not self._has_strays:
                await self._compare_totals()
        if has_repair:
            report.repaired += await keys.repair()
            if checks is not None:
                report.repaired += await repair_all(
                    self._settings, self._database, connection, checks, self._offsets
                )
        return report

    async def _read_log(self, checks: Checks | None) -> None:
        """Read the log once, with the state tables of the same moment."""
        report, connection = self._report, self._connection
        tables, chain = StateTables(report), Chain(report)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = await connection.fetchrow("SELECT position, hash FROM log_head")
            if checks is not None:
                await checks.read_absent()
            async for events in read_log(connection, 0, head["position"]):
                for event, payload_hash in events:
                    chain.check(event, payload_hash)
                    if self._anchor is not None:
                        self._anchor.check(event, report)
                changes = self._changes(event for event, _ in events)
                await tables.fold(changes, connection)
                if checks is not None:
                    await checks.fold([event for event, _ in events], changes)
                self._progress("events", chain.position, head["position"])
            above = await positions_above(connection, head["position"])
            chain.check_head(head["position"], head["hash"], above)
            self._check_anchor(chain)
            await tables.finish(connection)

    def _check_anchor(self, chain: Chain) -> None:
        """Check the signed heads, and sign the log's head if the log has no difference."""
        if self._anchor is None:
            return
        self._anchor.check_signatures(self._report)
        self._anchor.check_end(chain.position, self._report)
        has_wrong_log = any(d["where"] == "log" for d in self._report.differences)
        if chain.position and not has_wrong_log:
            self._anchor.add(chain.position, chain.hash)

    async def _wait_for(
        self, position: int, wanted: int | None, *, has_repair: bool
    ) -> list[Document] | None:
        """Wait until the lanes' checkpoints hold the position, and return them.

        A lane that moves on is waited for, up to WAIT_SECONDS after its last step.

        `wanted`: the number of lanes that a pending change will bring.

        Returns None, and reports a difference, if a lane does not reach the position or cannot be
        read. Raises CannotRun if the relay does not send the events that they wait for.
        """
        loop = asyncio.get_running_loop()
        relay = _Relay(self._connection)
        give_up_at = loop.time() + WAIT_SECONDS
        named: set[str] = set()
        best = 0
        while True:
            found = await self._database["checkpoints"].find({}).to_list()
            if wanted is not None and len(found) >= wanted:
                # The read model was switched already, but not yet the relay's row.
                self._lanes = wanted
            lanes = self._lanes
            mine = [d for d in found if d["_id"] in range(lanes) and is_whole(d)]
            wrong = [d["_id"] for d in found if d not in mine]
            for document_id in (each for each in wrong if str(each) not in named):
                named.add(str(document_id))
                is_lane = document_id in range(lanes)
                expected = "a checkpoint" if is_lane else None
                self._report.differ(WHERE, document_id, "document", expected, "another document")
            if wrong and has_repair:
                # A lane without a checkpoint begins anew, and finds its documents up to date.
                gone = await self._database["checkpoints"].delete_many({"_id": {"$in": wrong}})
                self._report.repaired += gone.deleted_count
                continue
            self._has_strays = bool(wrong)
            safe = min((int(d["safe"]) for d in mine), default=0)
            reached = safe if len(mine) == lanes else 0
            if reached >= position:
                return mine
            if wrong:
                return None
            self._progress("projected", reached, position)
            if reached > best:
                best, give_up_at = reached, loop.time() + WAIT_SECONDS
            await relay.look(position)
            if loop.time() > give_up_at:
                self._report.differ(WHERE, "all lanes", "position", position, reached)
                return None
            await asyncio.sleep(0.25)

    async def _compare_totals(self) -> None:
        reads = Reads(self._settings)
        try:
            await compare_totals(self._connection, reads, self._report)
        finally:
            await reads.close()

    def _changes(self, events: Iterable[Envelope]) -> list[Change]:
        """Return the events' changes; report one that cannot be read as a difference."""
        changes = []
        for event in events:
            try:
                changes.append(change_of_event(event))
            except PoisonRecord as error:
                self._report.differ("log", event.position, "payload", "a readable one", str(error))
        return changes


class _Relay:
    """Checks that the relay still sends: events that it has not sent are no difference."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._sent = -1
        self._since = 0.0

    async def look(self, position: int) -> None:
        """Raise CannotRun if the relay stands still below the position."""
        now = asyncio.get_running_loop().time()
        sent = await self._connection.fetchval("SELECT position FROM relay_cursor")
        if sent != self._sent:
            self._sent, self._since = sent, now
        elif sent < position and now - self._since > RELAY_SECONDS:
            raise CannotRun(
                f"the relay has sent {sent} of {position} events and does not go on: start it, or"
                " see why it waits (`storelog status`), then run verify again; nothing was compared"
            )


def _readable_changes(events: Iterable[Envelope]) -> list[Change]:
    """Return the changes of events that can be read; the others were reported already."""
    changes = []
    for event in events:
        try:
            changes.append(change_of_event(event))
        except PoisonRecord:
            continue
    return changes
