"""Rewrites documents of the read model that differ, from the log. Never touches PostgreSQL.

A document is replaced only while it is at the position it was compared at, so the projector may go
on meanwhile. Next: verify/verify.py
"""

from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from storelog.projector.read_models.totals import COLLECTION
from storelog.verify.history import Histories
from storelog.verify.read_model import MARKS, ReadModel, Repair
from storelog.verify.totals import Totals

Document = dict[str, Any]


async def repair_documents(database: AsyncDatabase[Document], model: ReadModel) -> int:
    """Rewrite each document that differs; return how many."""
    repaired = 0
    for key, repair in model.repairs.items():
        repaired += await _repair(database[key[0]], key[1], repair, model.marks_of(key))
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
    if found is None:
        await documents.insert_one({"_id": thing, **whole})
        return 1
    at = found.get("position")
    if not repair.is_forced and isinstance(at, int) and at > whole["position"]:
        return 0
    same = {"_id": thing, "position": at}
    return (await documents.replace_one(same, {"_id": thing, **whole})).matched_count


async def repair_totals(database: AsyncDatabase[Document], totals: Totals) -> int:
    """Rewrite each document of figures that differs; return how many."""
    for name, document in totals.repairs.items():
        if document is None:
            await database[COLLECTION].delete_one({"_id": name})
        else:
            await database[COLLECTION].replace_one({"_id": name}, document, upsert=True)
    return len(totals.repairs)


async def repair_histories(database: AsyncDatabase[Document], histories: Histories) -> int:
    """Rewrite each bucket that differs; return how many."""
    repaired = 0
    for name, (at, bucket) in histories.repairs.items():
        same = {"_id": name} if at is None else {"_id": name, "position": at}
        done = await database["history"].replace_one(same, bucket, upsert=at is None)
        repaired += done.matched_count or int(done.upserted_id is not None)
    return repaired
