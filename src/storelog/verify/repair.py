"""Rewrites what differs in the read model, from the log. Never touches PostgreSQL.

A document is replaced only while it has the position at which it was compared, so the projector may
go on meanwhile. While its own data (ledger, checkpoints, moments) is repaired, the projector stands
still, and then loads it again. Parts that never change once they are full are written before, so
that the standstill is short. It is also how Query Services learn that names were repaired.
Next: verify/verify.py
"""

from typing import Any

import asyncpg
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import WriteError

from storelog.config import Settings
from storelog.documents.histories import COLLECTION, OPEN
from storelog.read_side import BLOCK_POSITIONS
from storelog.shop.events import CUSTOMER
from storelog.verify.checks import Checks
from storelog.verify.fold import SALES
from storelog.verify.history import ComparedHistories
from storelog.verify.offsets import Offsets
from storelog.verify.repair_changes import repair_changes
from storelog.verify.repair_ledger import LedgerRepair
from storelog.verify.repair_places import PlacesRepair
from storelog.verify.report import Report
from storelog.verify.standstill import standstill
from storelog.verify.suspects import MARKS, Inspection, Repair

# Projectors end a standstill after 20 s; to read no more than this many events fits in.
CLOSE_EVENTS, MAX_ROUNDS = 2_000, 20
# What Query Services keep customers' names by, until the checkpoints count another repair.
_NAMES = {CUSTOMER.collection, CUSTOMER.words_collection}
Document = dict[str, Any]


async def repair_all(
    settings: Settings,
    database: AsyncDatabase[Document],
    connection: asyncpg.Connection,
    checks: Checks,
    offsets: Offsets,
) -> int:
    """Rewrite everything that differs; return how many documents."""
    repaired = 0
    if checks.inspection is not None:
        repaired += await _documents(database, checks.inspection, checks.report)
    for totals in checks.totals:
        repaired += await totals.repair()
    repaired += await checks.shapes.repair()
    repaired += await _histories(database, checks.histories)
    kept = _Kept(database, connection, checks, offsets)
    if kept.is_bad:
        repaired += await kept.repair_what_is_full()
    elif not _has_names(checks):
        return repaired
    # Counts the repair, after the documents are written.
    async with standstill(settings, database):
        if kept.is_bad:
            repaired += await kept.repair_the_rest()
    return repaired


def _has_names(checks: Checks) -> bool:
    found = checks.inspection
    return found is not None and any(collection in _NAMES for collection, _ in found.repairs)


class _Kept:
    """Data that projectors and readers keep in memory: ledger, moments, changes, checkpoints."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        connection: asyncpg.Connection,
        checks: Checks,
        offsets: Offsets,
    ) -> None:
        self._database = database
        self._connection = connection
        self._checks = checks
        lanes, bad = checks.places.lanes, checks.ledger.bad_lanes
        self._ledger = LedgerRepair(database, connection, bad, lanes, checks.present)
        self._places = PlacesRepair(database, connection, checks.places, checks.absent, offsets)

    @property
    def is_bad(self) -> bool:
        """Whether anything must be repaired."""
        checks = self._checks
        changes = checks.changes.bad_blocks or checks.changes.strays
        return bool(checks.ledger.bad_lanes or checks.blocks.repairs or changes or self._places.bad)

    async def repair_what_is_full(self) -> int:
        """Write the parts that no projector changes any more, until few events are left to read."""
        checks, done = self._checks, 0
        for _ in range(MAX_ROUNDS):
            ends = await self._ends()
            await self._ledger.read(ends)
            await self._places.go_on(ends)
            if max(ends.values(), default=0) - done <= CLOSE_EVENTS:
                break
            done = max(ends.values())
        full = checks.position // BLOCK_POSITIONS
        repaired = await self._changes({b for b in checks.changes.bad_blocks if b < full})
        repaired += await checks.blocks.repair()
        return repaired + await self._ledger.write_full()

    async def repair_the_rest(self) -> int:
        """Write the rest, while no projector writes."""
        ends = await self._ends()
        full = self._checks.position // BLOCK_POSITIONS
        repaired = await self._changes({b for b in self._checks.changes.bad_blocks if b >= full})
        await self._ledger.read(ends)
        repaired += await self._ledger.write()
        return repaired + await self._places.write(ends)

    async def _ends(self) -> dict[int, int]:
        places = await self._database["checkpoints"].find({}, {"position": 1}).to_list()
        return {place["_id"]: int(place["position"]) for place in places}

    async def _changes(self, blocks: set[int]) -> int:
        checks = self._checks
        found, position = checks.changes, checks.position
        done = await repair_changes(
            self._database, self._connection, found, (blocks, position), checks.present
        )
        found.strays = []
        return done


async def _documents(database: AsyncDatabase[Document], model: Inspection, report: Report) -> int:
    """Rewrite each document that differs; return how many. Report one that MongoDB rejects."""
    repaired = 0
    for key, one in model.repairs.items():
        try:
            repaired += await _repair(database[key[0]], key[1], one, model.marks_of(key))
        except WriteError as error:
            report.differ(f"mongodb.{key[0]}", key[1], "repair", "written", str(error)[:200])
    sales = database[SALES]
    for item, marks in model.mark_repairs.items():
        update = {"$set": marks} if marks else {"$unset": dict.fromkeys(MARKS, "")}
        repaired += (await sales.update_one({"_id": item}, update)).matched_count
    return repaired


async def _repair(
    documents: AsyncCollection[Document], document_id: int, repair: Repair, marks: Document
) -> int:
    if repair.fields is None:
        return (await documents.delete_one({"_id": document_id})).deleted_count
    whole = {**repair.fields, **marks}
    found = await documents.find_one({"_id": document_id})
    if found is not None and OPEN in found:
        # Its open bucket is compared and repaired separately.
        whole[OPEN] = found[OPEN]
    if found is None:
        await documents.insert_one({"_id": document_id, **whole})
        return 1
    at = found.get("position")
    # The projector has moved it on since, and in doing so written it again.
    if not repair.is_forced and isinstance(at, int) and at > whole["position"]:
        return 0
    same = {"_id": document_id, "position": at}
    return (await documents.replace_one(same, {"_id": document_id, **whole})).matched_count


async def _histories(database: AsyncDatabase[Document], histories: ComparedHistories) -> int:
    """Rewrite each bucket that differs, remove strays; return how many."""
    repaired = 0
    for name in histories.strays:
        repaired += (await database[COLLECTION].delete_one({"_id": name})).deleted_count
    for name, (at, bucket) in histories.repairs.items():
        same = {"_id": name} if at is None else {"_id": name, "position": at}
        done = await database[COLLECTION].replace_one(same, bucket, upsert=at is None)
        repaired += done.matched_count or int(done.upserted_id is not None)
    for (collection, number), (position, bucket) in histories.open_repairs.items():
        document = {"_id": number, "position": position}
        done = await database[collection].update_one(document, {"$set": {OPEN: bucket}})
        repaired += done.matched_count
    return repaired
