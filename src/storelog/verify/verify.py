"""One run of verify: the chain, the state tables, the read model, from one reading of the log.

Changes nothing, unless it is asked to repair the read model, which it rewrites from the log.
Next: verify/log.py
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.errors import CannotRun, PoisonRecord
from storelog.projector.change import Change, change_of_event
from storelog.projector.database import DEAD_LETTERS
from storelog.query_service.reads import Reads
from storelog.read_side import (
    POINTER_ID,
    POINTERS,
    database_name,
    mongodb_uri,
    read_pointer,
)
from storelog.reasons import reason
from storelog.verify.absent import Absent
from storelog.verify.anchor import Anchor
from storelog.verify.history import Histories
from storelog.verify.ledger import Ledger
from storelog.verify.log import Chain, positions_above, read_log
from storelog.verify.read_model import ReadModel
from storelog.verify.repair import repair_documents, repair_histories, repair_ledger
from storelog.verify.report import Report
from storelog.verify.state_tables import StateTables
from storelog.verify.suspects import Inspection
from storelog.verify.times import read_exact_times

WAIT_SECONDS = 60.0
Progress = Callable[[str, int, int], None]
Document = dict[str, Any]
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=True)


async def verify(
    settings: Settings, progress: Progress, *, repair: bool = False, anchor: Anchor | None = None
) -> Report:
    """Compare everything at the position written now. Raises CannotRun when a server is away.

    `anchor`: signed heads to check; the head is added to them when the log is as it must be.
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
        connection = await asyncpg.connect(
            settings.postgres_url,
            timeout=5,
            command_timeout=60,
            server_settings={"application_name": "storelog verify", "jit": "off"},
        )
        await read_exact_times(connection)
        home = client[database_name(settings)]
        pointer = read_pointer(
            await home[POINTERS].find_one({"_id": POINTER_ID}), database_name(settings)
        )
        database = client.get_database(
            pointer.database,
            codec_options=_OPTIONS,
            read_preference=ReadPreference.PRIMARY,
            write_concern=pymongo.WriteConcern(w="majority", j=True),
        )
        run = _Run(settings, connection, database, progress, anchor)
        return await run.run(repair=repair)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {reason(error)}") from error
    finally:
        await client.close()


class _Run:
    def __init__(
        self,
        settings: Settings,
        connection: asyncpg.Connection,
        database: AsyncDatabase[Document],
        progress: Progress,
        anchor: Anchor | None,
    ) -> None:
        self._anchor = anchor
        self._settings = settings
        self._connection = connection
        self._database = database
        self._progress = progress
        self._report = Report()
        self._absent = Absent()

    async def run(self, *, repair: bool) -> Report:
        try:
            return await self._run(repair=repair)
        finally:
            self._connection.terminate()

    async def _run(self, *, repair: bool) -> Report:
        written = await self._connection.fetchval("SELECT position FROM log_head")
        is_projected = await self._wait_for(written)
        report, connection = self._report, self._connection
        tables, chain = StateTables(report), Chain(report)
        model = ReadModel(self._database, report, written, connection)
        ledger = Ledger(self._database, report, written)
        histories = Histories(self._database, report, written)
        if is_projected:
            newest = await model.scan(await connection.fetchval("SELECT position FROM log_head"))
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = await connection.fetchrow("SELECT position, hash FROM log_head")
            report.position = written
            await self._read_dead_letters()
            async for events in read_log(connection, 0, head["position"]):
                for event, payload_hash in events:
                    chain.check(event, payload_hash)
                    if self._anchor is not None:
                        self._anchor.check(event, report)
                changes = self._changes(event for event, _ in events)
                await tables.fold(changes, connection)
                if is_projected:
                    projected = [c for c in changes if c.position <= written]
                    projected = self._absent.without(projected)
                    await model.fold(projected)
                    ledger.fold(projected)
                    await histories.fold(projected)
                self._progress("events", chain.position, head["position"])
            above = await positions_above(connection, head["position"])
            chain.check_head(head["position"], head["hash"], above)
            self._check_anchor(chain)
            await tables.finish(connection)
        if is_projected:
            await self._compare_newer(model, written, newest)
            await histories.finish()
            await ledger.finish()
            inspection = await self._inspect(model, ledger)
            if repair:
                if inspection is not None:
                    report.repaired = await repair_documents(self._database, inspection)
                report.repaired += await repair_ledger(self._database, ledger)
                report.repaired += await repair_histories(self._database, histories)
        return report

    def _check_anchor(self, chain: Chain) -> None:
        """Check the signed heads, and sign the log's head when there is nothing against it."""
        if self._anchor is None:
            return
        self._anchor.check_signatures(self._report)
        self._anchor.check_end(chain.position, self._report)
        has_wrong_log = any(d["where"] == "log" for d in self._report.differences)
        if chain.position and not has_wrong_log:
            self._anchor.add(chain.position, chain.hash)

    async def _wait_for(self, position: int) -> bool:
        """Wait until the read model holds the position; a difference when it does not come."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + WAIT_SECONDS
        reads = Reads(self._settings)
        try:
            while (place := (await reads.view()).place).position < position:
                self._progress("projected", place.position, position)
                if loop.time() > give_up_at:
                    where = "mongodb.checkpoints"
                    self._report.differ(where, "all lanes", "position", position, place.position)
                    return False
                await asyncio.sleep(0.25)
        finally:
            await reads.close()
        return True

    async def _read_dead_letters(self) -> None:
        """Read which events are not in the read model, and said to be so."""
        letters = self._database[DEAD_LETTERS].find({}, {"position": 1, "state": 1})
        self._absent.take(await letters.to_list())
        self._report.discarded = sorted(self._absent.discarded)
        if self._absent.positions:
            self._report.checked["deadLetters"] = len(self._absent.positions)

    def _changes(self, events: Iterable[Envelope], *, is_again: bool = False) -> list[Change]:
        changes = []
        for event in events:
            try:
                changes.append(change_of_event(event))
            except PoisonRecord as error:
                if is_again:
                    continue
                self._report.differ("log", event.position, "payload", "a readable one", str(error))
        return changes

    async def _compare_newer(self, model: ReadModel, written: int, newest: int) -> None:
        """Go on over the events that were written meanwhile, for documents that have them."""
        await self._read_dead_letters()
        head = await self._connection.fetchval("SELECT position FROM log_head")
        async for events in read_log(self._connection, written, min(newest, head)):
            changes = self._absent.without(self._changes(event for event, _ in events))
            await model.fold_later(changes)

    async def _inspect(self, model: ReadModel, ledger: Ledger) -> Inspection | None:
        """Look closely at what does not agree, with the log read again up to its present end."""
        inspection = model.inspection()
        if inspection is None and not ledger.suspects:
            return None
        if inspection is not None:
            await inspection.read()
        await self._read_dead_letters()
        head = await self._connection.fetchval("SELECT position FROM log_head")
        async for events in read_log(self._connection, 0, head):
            changes = self._changes((event for event, _ in events), is_again=True)
            changes = self._absent.without(changes)
            ledger.fold_closely(changes)
            if inspection is not None:
                await inspection.fold(changes)
            self._progress("inspected", events[-1][0].position, head)
        await ledger.finish_closely()
        if inspection is not None:
            inspection.finish()
        return inspection
