"""Verify names damage to every collection that a response stands on, and repairs it."""

import asyncio
import signal
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest
from bson.int64 import Int64
from pymongo import AsyncMongoClient, MongoClient
from pymongo.database import Database

from storelog.config import Settings
from storelog.documents.moments import pack_moments, unpack_moments
from storelog.read_models import entities
from storelog.read_side import database_name
from storelog.verify import keys as keys_of_verify
from storelog.verify.keys import Keys
from storelog.verify.report import Report
from storelog.verify.standstill import standstill
from storelog.verify.verify import verify
from support.live import LiveReader
from support.load import place_orders
from support.projected import read
from support.system import System, wait_for

Model = Database[dict[str, Any]]
# Where verify must name a difference: the collection, and the document's id.
Places = set[tuple[str, Any]]
PATHS = (
    "/orders?limit=500",
    "/products",
    "/products?q=cake",
    "/customers?q=ann",
    "/product-sold?productId=1&limit=500",
    "/history/products/1?limit=500",
    "/analytics/total-sales",
    "/analytics/product-totals",
    "/analytics/top-customers",
    "/analytics/sales-by-day",
)


def run(system: System, *, repair: bool = False) -> Report:
    return asyncio.run(verify(system.settings, lambda *_: None, repair=repair))


def named(report: Report) -> Places:
    return {(d["where"].removeprefix("mongodb."), d["id"]) for d in report.differences}


def fill(system: System) -> None:
    """Write what makes a full leaf, sums, and full blocks of moments, changes and histories."""
    for _ in range(4):
        system.new_customer()
    for _ in range(3):
        system.new_product(stock=100_000)
    for number in range(20):
        adjustment = {"delta": 1, "reason": f"count {number}"}
        system.commands.post("/products/1/stock-adjustments", adjustment)
    bodies = [
        {"customerId": 1, "orderItems": [{"productId": n % 2 + 1, "quantity": 1}]}
        for n in range(270)
    ]
    statuses, _ = place_orders([system.commands.url], bodies, 1, seconds=240)
    assert statuses == {201: len(bodies)}
    written = system.written()
    wait_for(lambda: system.queries.get("/orders").position >= written, "all", 240)
    for name, least in {"moments": 1, "figures": 1, "history": 2, "changes": 3}.items():
        assert system.mongo[name].count_documents({}) >= least, name


def responses(system: System) -> list[Any]:
    middle = system.written() // 2
    paths = [*PATHS, *(f"{path}{'&' if '?' in path else '?'}asOf={middle}" for path in PATHS)]
    bodies = [(path, read(system, path).json) for path in paths]
    written = system.written()
    with LiveReader(system.url("query-service"), "/live?after=0") as live:
        wait_for(lambda: live.last_id and live.last_id >= written, "all changes")
        return [*bodies, live.events]


def first(model: Model, name: str, **query: Any) -> dict[str, Any]:
    found = model[name].find_one(query)
    assert found is not None, name
    return found


def delete(model: Model) -> Places:
    """Delete one document of each collection."""
    block = first(model, "changes", block=2)
    model.changes.delete_one({"_id": block["_id"]})
    gone: Places = {("changes", 2)}
    some = {
        "moments": first(model, "moments")["_id"],
        "figures": first(model, "figures")["_id"],
        "history": "product-1/0",
        "customer_names": 2,
        "product_names": 2,
        "customers": 3,
        "products": 3,
        "orders": 7,
        "product_sold": 9,
    }
    for name, thing in some.items():
        assert model[name].delete_one({"_id": thing}).deleted_count == 1, name
        gone.add((name, thing))
    # The leaf that is being filled: that below a sum would hide the sum.
    leaf = first(model, "ledger", _id={"$regex": "/1$"})
    model.ledger.delete_one({"_id": leaf["_id"]})
    return gone | {("ledger", int.from_bytes(leaf["chunks"][0][:8], "little"))}


def alter(model: Model) -> Places:
    """Alter one document of each collection."""
    told = first(model, "changes", block=1)
    entries = msgspec.json.decode(zlib.decompress(told["entries"]))
    entries[0][2]["correlationId"] = "altered"
    packed = zlib.compress(msgspec.json.encode(entries))
    model.changes.update_one({"_id": told["_id"]}, {"$set": {"entries": packed}})
    block = first(model, "moments")
    rows = unpack_moments(block["rows"])
    rows[5] = rows[6]
    model.moments.update_one({"_id": block["_id"]}, {"$set": {"rows": pack_moments(rows)}})
    leaf = first(model, "ledger", _id={"$regex": "/0$"})
    chunk = bytearray(leaf["chunks"][0])
    # A fact begins with its position, a flag, its time and its customer.
    chunk[9] ^= 1
    model.ledger.update_one({"_id": leaf["_id"]}, {"$set": {"chunks.0": bytes(chunk)}})
    node = first(model, "figures")
    day = bytearray(node["sales"]["day"])
    day[-1] ^= 1
    model.figures.update_one({"_id": node["_id"]}, {"$set": {"sales.day": bytes(day)}})
    bucket = first(model, "history", _id="product-1/0")
    entry = bucket["entries"][3].replace(b"Cake", b"Cabe")
    model.history.update_one({"_id": "product-1/0"}, {"$set": {"entries.3": entry}})
    fields: dict[str, tuple[Any, dict[str, Any]]] = {
        "customer_names": (2, {"words": ["zed"]}),
        "product_names": (2, {"words": ["zed"]}),
        "customers": (3, {"email": "other@example.com"}),
        "products": (3, {"stock": 1}),
        "orders": (7, {"customerId": Int64(2)}),
        "product_sold": (9, {"quantitySold": 77}),
        "checkpoints": (0, {"highestProduct": Int64(1), "oldestOrder": None}),
    }
    for name, (thing, changed) in fields.items():
        assert model[name].update_one({"_id": thing}, {"$set": changed}).modified_count == 1, name
    position = int.from_bytes(leaf["chunks"][0][:8], "little")
    altered = {(name, thing) for name, (thing, _) in fields.items()}
    return altered | {
        ("changes", entries[0][0]),
        ("moments", block["_id"]),
        ("ledger", position),
        ("figures", node["_id"]),
        ("history", "product-1/0"),
    }


def add(model: Model) -> Places:
    """Add a document to each collection."""
    place = first(model, "checkpoints", _id=0)
    extra: dict[str, dict[str, Any]] = {
        "changes": {"_id": "x", "block": Int64(10**6), "last": Int64(1), "entries": b""},
        "moments": {"_id": "0/99", "rows": b""},
        "ledger": {"_id": "0/77", "lane": 0, "count": 0, "chunks": [], "position": Int64(1)},
        "figures": {"_id": "0/3/9", "minPosition": Int64(1), "maxPosition": Int64(2)},
        "history": {"_id": "product-99/0", "entries": [], "position": Int64(3)},
        "customer_names": {"_id": Int64(99), "words": ["ann"], "position": Int64(3)},
        "product_names": {"_id": Int64(99), "words": ["cake"], "position": Int64(3)},
        "customers": {**first(model, "customers"), "_id": Int64(99)},
        "products": {**first(model, "products"), "_id": Int64(99)},
        "orders": {**first(model, "orders"), "_id": Int64(9_999)},
        "product_sold": {**first(model, "product_sold"), "_id": Int64(9_999)},
        "checkpoints": {**place, "_id": 9},
    }
    for name, document in extra.items():
        model[name].insert_one(document)
    return {(name, document["_id"]) for name, document in extra.items()}


def test_damage_to_every_collection_is_named_and_repaired(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking: list[str] = []

    @asynccontextmanager
    async def looked_at(*arguments: Any) -> AsyncIterator[None]:
        # What is full is there before the read model stands still.
        full = {"changes": {"block": 2}, "moments": {"_id": block}, "figures": {"_id": node}}
        lacking.extend(name for name, one in full.items() if not system.mongo[name].find_one(one))
        async with standstill(*arguments):
            yield

    monkeypatch.setattr("storelog.verify.repair.standstill", looked_at)
    fill(system)
    block, node = first(system.mongo, "moments")["_id"], first(system.mongo, "figures")["_id"]
    assert run(system).differences == []
    expected = responses(system)
    damages: tuple[Callable[[Model], Places], ...] = (alter, add, delete)
    for damage in damages:
        # Without the relay no checkpoint moves, so that nothing is overwritten before it is seen.
        system.signal("relay", signal.SIGSTOP)
        places: dict[str, Any] = {}

        def is_quiet(places: dict[str, Any] = places) -> bool:
            before = dict(places)
            places |= {str(p["_id"]): p for p in system.mongo.checkpoints.find({})}
            return before == places

        wait_for(is_quiet, "checkpoints that stand still")
        planted = damage(system.mongo)
        report = run(system)
        assert planted <= named(report), (damage.__name__, planted - named(report))
        repaired = run(system, repair=True)
        assert repaired.repaired > 0
        assert lacking == []
        report = run(system)
        assert report.differences == [], (damage.__name__, report.differences)
        system.signal("relay", signal.SIGCONT)
        wait_for(lambda: system.queries.get("/orders").status == 200, "responses")
        assert responses(system) == expected, damage.__name__
    # What projectors keep in memory was loaded again: it goes on from what was repaired.
    for customer in range(1, 4):
        system.new_order(customer, (1, 1), (3, 2))
    system.wait_projected()
    assert run(system).differences == []


def test_a_wrong_fold_of_the_projector_is_a_difference(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer, product = system.new_customer()["customerId"], system.new_product()["productId"]
    order = system.new_order(customer, (product, 2))["orderId"]
    system.wait_projected()
    monkeypatch.setattr(entities, "owned", lambda change: None)
    assert run(system).differences == []
    # As if order events were counted twice: the facts, and so the totals, say it.
    leaf = next(x for x in system.mongo.ledger.find({}) if x["count"])
    twice = {"count": 2 * leaf["count"], "chunks": leaf["chunks"] * 2}
    system.mongo.ledger.update_one({"_id": leaf["_id"]}, {"$set": twice})
    found = {(d["where"], d["id"], d["field"]) for d in run(system).differences}
    position = system.mongo.orders.find_one({"_id": order})["position"]  # type: ignore[index]
    assert ("mongodb.ledger", position, "fact") in found
    assert ("totals", f"product-{product}", "unitsSold") in found
    assert ("totals", f"customer-{customer}", "totalSales") in found


def test_damage_to_the_api_keys_is_named_and_repaired(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No relay and no projector run here: nothing is on its way.
    monkeypatch.setattr(keys_of_verify, "ON_ITS_WAY_SECONDS", 0.2)
    client: MongoClient[dict[str, Any]] = MongoClient(settings.mongodb_uri)
    keys = client[database_name(settings)].api_keys

    async def check(*, repair: bool = False) -> list[tuple[Any, str]]:
        connection = await asyncpg.connect(settings.postgres_url)
        there: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(settings.mongodb_uri)
        report = Report()
        try:
            found = Keys(there[database_name(settings)], report)
            await found.compare(connection)
            if repair:
                await found.repair()
        finally:
            await there.close()
            await connection.close()
        return [(d["id"], d["field"]) for d in report.differences]

    async def make_key() -> None:
        connection = await asyncpg.connect(settings.postgres_url)
        await connection.execute(
            "INSERT INTO api_keys (name, role, sha256) VALUES ('till', 'read', sha256('x'))"
        )
        await connection.close()

    assert asyncio.run(check()) == []
    asyncio.run(make_key())
    changed = ("content", "isUsed", "keys", "signature", "version")
    assert asyncio.run(check(repair=True)) == [("keys", name) for name in changed]
    assert asyncio.run(check()) == []
    keys.delete_one({"_id": "keys"})
    assert asyncio.run(check(repair=True)) == [("keys", "document")]
    keys.update_one({"_id": "keys"}, {"$set": {"keys.0.role": "admin"}})
    assert asyncio.run(check(repair=True)) == [("keys", "keys[0].role")]
    keys.insert_one({"_id": "more", "isUsed": False, "keys": []})
    assert asyncio.run(check(repair=True)) == [("more", "document")]
    keys.update_one({"_id": "origin"}, {"$set": {"signer": "00"}})
    assert asyncio.run(check(repair=True)) == [("origin", "signer")]
    keys.update_one({"_id": "origin"}, {"$set": {"histories": []}})
    assert asyncio.run(check(repair=True)) == [("origin", "histories")]
    assert asyncio.run(check()) == []
    client.close()
