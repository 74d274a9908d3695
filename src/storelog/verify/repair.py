"""Rewrites what differs in the read model, from the log. Never touches PostgreSQL.

A document is replaced only while it is at the position it was compared at, so the projector may go
on meanwhile; for what it keeps in memory (ledger, checkpoints, moments) it stands still and loads
all again. Next: verify/verify.py
"""

from typing import Any

import asyncpg
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import WriteError

from storelog.config import Settings
from storelog.histories import COLLECTION, OPEN
from storelog.verify.checks import Checks
from storelog.verify.history import Histories
from storelog.verify.repair_changes import repair_changes
from storelog.verify.repair_ledger import LedgerRepair
from storelog.verify.repair_places import repair_places
from storelog.verify.report import Report
from storelog.verify.standstill import standstill
from storelog.verify.suspects import MARKS, Inspection, Repair

Document = dict[str, Any]


async def repair_all(
    settings: Settings,
    database: AsyncDatabase[Document],
    connection: asyncpg.Connection,
    checks: Checks,
    report: Report,
) -> int:
    """Rewrite all that differs; return how many documents."""
    repaired = 0
    if checks.inspection is not None:
        repaired += await _documents(database, checks.inspection, report)
    repaired += await checks.shapes.repair()
    repaired += await _histories(database, checks.histories)
    changes, position = checks.changes, checks.position
    has_changes = bool(changes.bad_blocks or changes.strays)
    is_kept = checks.ledger.bad_lanes or checks.places.bad or checks.blocks.repairs
    if not is_kept and not has_changes:
        return repaired
    lanes = checks.places.lanes
    ledger = LedgerRepair(database, connection, checks.ledger.bad_lanes, lanes, checks.present)
    await ledger.read(dict.fromkeys(range(lanes), position))
    async with standstill(settings, database):
        if has_changes:
            repaired += await repair_changes(
                database, connection, changes, position, checks.present
            )
        repaired += await checks.blocks.repair()
        if checks.ledger.bad_lanes:
            places = await database["checkpoints"].find({}, {"position": 1}).to_list()
            await ledger.read({place["_id"]: int(place["position"]) for place in places})
            repaired += await ledger.write()
        repaired += await repair_places(database, connection, checks.places, checks.absent)
    return repaired


async def _documents(database: AsyncDatabase[Document], model: Inspection, report: Report) -> int:
    """Rewrite each document that differs; return how many. One that is refused is named."""
    repaired = 0
    for key, one in model.repairs.items():
        try:
            repaired += await _repair(database[key[0]], key[1], one, model.marks_of(key))
        except WriteError as error:
            report.differ(f"mongodb.{key[0]}", key[1], "repair", "written", str(error)[:200])
    sales = database["product_sold"]
    for item, marks in model.mark_repairs.items():
        update = {"$set": marks} if marks else {"$unset": dict.fromkeys(MARKS, "")}
        repaired += (await sales.update_one({"_id": item}, update)).matched_count
    return repaired


async def _repair(
    documents: AsyncCollection[Document], thing: int, repair: Repair, marks: Document
) -> int:
    if repair.fields is None:
        return (await documents.delete_one({"_id": thing})).deleted_count
    whole = {**repair.fields, **marks}
    found = await documents.find_one({"_id": thing})
    if found is not None and OPEN in found:
        # Its newest events are compared and mended by themselves.
        whole[OPEN] = found[OPEN]
    if found is None:
        await documents.insert_one({"_id": thing, **whole})
        return 1
    at = found.get("position")
    if not repair.is_forced and isinstance(at, int) and at > whole["position"]:
        return 0
    same = {"_id": thing, "position": at}
    return (await documents.replace_one(same, {"_id": thing, **whole})).matched_count


async def _histories(database: AsyncDatabase[Document], histories: Histories) -> int:
    """Rewrite each bucket that differs, remove what is none; return how many."""
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
