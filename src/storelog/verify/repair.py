"""Rewrites documents of the read model that differ, from the log. Never touches PostgreSQL.

A document is replaced only while it is at the position it was compared at, so the projector may go
on meanwhile. Next: verify/verify.py
"""

from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from storelog.histories import COLLECTION, OPEN
from storelog.ledgers import LEDGER, NODES, Fact, facts_of_leaf
from storelog.verify.history import Histories
from storelog.verify.ledger import Ledger, leaf_fields
from storelog.verify.report import Report
from storelog.verify.suspects import MARKS, Inspection, Repair

Document = dict[str, Any]


async def repair_documents(database: AsyncDatabase[Document], model: Inspection) -> int:
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


async def repair_ledger(database: AsyncDatabase[Document], ledger: Ledger) -> int:
    """Rewrite what differs in the ledger; return how many documents.

    A leaf is replaced only while it holds as many facts as were read; the sums are compared again
    with the leaves as they are then.
    """
    if not ledger.has_differences:
        return 0
    repaired, leaves = 0, database[LEDGER]
    async for leaf in leaves.find({}):
        mended = ledger.mended(leaf)
        if mended is not None:
            same = {"_id": leaf["_id"], "count": leaf["count"]}
            repaired += (await leaves.replace_one(same, mended)).matched_count
    for fact in ledger.missing():
        repaired += await _put_back(leaves, fact)
    again = Ledger(database, Report(), 0)
    await again.finish()
    for name, node in again.node_repairs.items():
        await database[NODES].replace_one({"_id": name}, node, upsert=True)
        repaired += 1
    return repaired


async def _put_back(leaves: AsyncCollection[Document], fact: Fact) -> int:
    """Add a fact that is missing to the first leaf that reaches beyond it, or to the last one."""
    some = leaves.find({"position": {"$gte": fact.position}}).sort("position", 1).limit(1)
    found = await some.to_list() or await leaves.find({}).sort("position", -1).limit(1).to_list()
    if not found:
        return 0
    facts = [*facts_of_leaf(found[0]), fact]
    same = {"_id": found[0]["_id"], "count": found[0]["count"]}
    return (await leaves.update_one(same, {"$set": leaf_fields(facts)})).matched_count


async def repair_histories(database: AsyncDatabase[Document], histories: Histories) -> int:
    """Rewrite each bucket that differs; return how many."""
    repaired = 0
    for name, (at, bucket) in histories.repairs.items():
        same = {"_id": name} if at is None else {"_id": name, "position": at}
        done = await database[COLLECTION].replace_one(same, bucket, upsert=at is None)
        repaired += done.matched_count or int(done.upserted_id is not None)
    for (collection, number), (position, bucket) in histories.open_repairs.items():
        document = {"_id": number, "position": position}
        done = await database[collection].update_one(document, {"$set": {OPEN: bucket}})
        repaired += done.matched_count
    return repaired
