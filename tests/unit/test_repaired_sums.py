"""Repairing sums of read models: what the projector adds stays, damage is no traceback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from bson.int64 import Int64

from storelog.read_models.change import Change
from storelog.read_models.totals import Added, Sum, TotalsModel
from storelog.shop.customer import CustomerCreated
from storelog.shop.events import kind_of
from storelog.verify.listed_totals import TotalsCheck
from storelog.verify.report import Report

Document = dict[str, Any]
CREATED = CustomerCreated(1, "Ann", "ann@example.com", None)
MODEL = TotalsModel(
    collection="totals",
    shape=1,
    keys=int,
    sums=(Sum("customers", "count", 1, None),),
    fold=lambda _: [Added(7, {"customers": 1})],
)


class Collection:
    """What the check asks of a collection; a missing field is found by None, as in MongoDB."""

    def __init__(self, *documents: Document) -> None:
        self.documents = {document["_id"]: document for document in documents}

    async def find(self, _: Document, batch_size: int) -> AsyncIterator[Document]:
        assert batch_size
        for document in list(self.documents.values()):
            yield dict(document)

    async def find_one(self, one: Document) -> Document | None:
        return self.documents.get(one["_id"])

    def _has(self, wanted: Document) -> bool:
        found = self.documents.get(wanted["_id"])
        return found is not None and all(found.get(k) == v for k, v in wanted.items())

    async def delete_one(self, wanted: Document) -> Any:
        has = self._has(wanted)
        if has:
            del self.documents[wanted["_id"]]
        return _Done(int(has))

    async def replace_one(self, wanted: Document, document: Document, *, upsert: bool) -> Any:
        has = self._has(wanted)
        if has or upsert:
            self.documents[wanted["_id"]] = {"_id": wanted["_id"], **document}
        return _Done(int(has))


class _Done:
    upserted_id = None

    def __init__(self, count: int) -> None:
        self.deleted_count = self.matched_count = count


async def compared(collection: Collection) -> TotalsCheck:
    """Return the check of one event at position 3, which has looked closely."""
    change = Change(3, kind_of(CREATED), "customer-1", 1, CREATED, cast(Any, None))
    check = TotalsCheck(cast(Any, {"totals": collection}), Report(), 3, 1, MODEL, 1)
    for _ in range(2):
        await check.scan()
        check.fold([change])
        check.finish()
    return check


def total(key: int, position: int, customers: int) -> Document:
    places = {"lane": 0, "key": Int64(key), "position": Int64(position)}
    return {"_id": f"0/{key}", **places, "customers": Int64(customers)}


def test_a_sum_without_a_position_is_repaired() -> None:
    damaged = total(7, 3, 1)
    del damaged["position"]
    collection = Collection(damaged)

    async def repair() -> int:
        return await (await compared(collection)).repair()

    assert asyncio.run(repair()) == 1
    assert list(collection.documents.values()) == [total(7, 3, 1)]


def test_a_sum_that_no_event_is_in_is_deleted_unless_the_projector_has_added_to_it_since() -> None:
    collection = Collection(total(7, 3, 1), total(8, 2, 5), total(9, 2, 5))

    async def repair() -> int:
        check = await compared(collection)
        collection.documents["0/9"] = total(9, 4, 6)
        return await check.repair()

    assert asyncio.run(repair()) == 1
    assert set(collection.documents) == {"0/7", "0/9"}
