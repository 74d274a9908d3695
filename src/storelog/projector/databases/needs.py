"""What a MongoDB server must be able to do for the read model, tried on a scratch collection.

Many servers speak MongoDB's protocol. If one lacks something essential, an error names the server
and what is missing, before anything is written to the read model. If it lacks only a safeguard, a
warning says so.
Next: projector/databases/connection.py
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bson.binary import Binary
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.errors import BSONError
from bson.int64 import Int64
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure

from storelog.errors import CannotRun
from storelog.projector.databases.failures import explain

COLLECTION = "server_check"
# Servers that have passed the check in this process.
_able: set[object] = set()
NO_VALIDATORS = (
    "has no validators, so it accepts a value of the wrong type from another program;"
    " `storelog verify` finds it"
)
_LARGE, _AMOUNT = Int64(2**53 + 1), Decimal128("1.50")
_AT = datetime(2020, 1, 2, 3, 4, 5, 678_000, UTC)
Document = dict[str, Any]
Need = Callable[[Collection[Document]], bool]


def server_name(database: Database[Document]) -> str:
    """Return the server's product name and version. Raises PyMongoError."""
    about = database.client.admin.command("buildInfo")
    own = next((key for key in ("ferretdb", "ferretdbVersion") if key in about), None)
    if own is None:
        return f"MongoDB {about.get('version', '')}".strip()
    told = about[own]
    version = told.get("version", "") if isinstance(told, dict) else told
    return f"FerretDB {version}".strip()


def check_needs(database: Database[Document]) -> None:
    """Check once that the server can do it all. Raises CannotRun, which names what it lacks."""
    database.client.admin.command("ping")
    server = database.client.nodes
    if server in _able:
        return
    # A name of its own, since another process may check the same server at the same time.
    collection = database[f"{COLLECTION}_{uuid4().hex}"]
    lacks = []
    try:
        for what, need in _needs():
            why = _why_not(need, collection)
            if why is not None:
                lacks.append(f"{what} ({why})")
    finally:
        collection.drop()
    if lacks:
        raise CannotRun(
            f"MongoDB: {server_name(database)} cannot be used, it lacks {'; '.join(lacks)}:"
            " name another server in STORELOG_MONGODB_URI"
        )
    _able.add(server)


def _why_not(need: Need, collection: Collection[Document]) -> str | None:
    for is_last in (False, True):
        try:
            collection.delete_many({})
            return None if need(collection) else "it returns something else"
        except AutoReconnect:
            # A server that is away fails the ping as well. One that responds has closed the
            # connection over this message, which it cannot read.
            collection.database.client.admin.command("ping")
            if is_last:
                break
        except (OperationFailure, BSONError) as error:
            return explain(error) or type(error).__name__
    return "it closes the connection"


def _needs() -> Iterator[tuple[str, Need]]:
    yield "exact numbers (Decimal128 and 64-bit integers)", _has_numbers
    yield "references ($ref) in documents", _has_references
    yield "updates by operators, in bulk", _has_updates
    yield "lists by filter, order and projection", _has_lists
    yield "indexes on several fields", _has_indexes


def _has_numbers(collection: Collection[Document]) -> bool:
    collection.insert_one(
        {"_id": _LARGE, "amount": _AMOUNT, "at": _AT, "hash": Binary(b"\x00\xff")}
    )
    found = collection.find_one({"amount": {"$gt": Decimal128("1.4"), "$lte": Decimal128("1.5")}})
    return found is not None and (found["_id"], found["amount"]) == (_LARGE, _AMOUNT)


def _has_references(collection: Collection[Document]) -> bool:
    collection.insert_one({"_id": 1, "customer": DBRef("customers", _LARGE)})
    found = collection.find_one({"_id": 1})
    return found is not None and found["customer"] == DBRef("customers", _LARGE)


def _has_updates(collection: Collection[Document]) -> bool:
    first = {"$set": {"a.b": 1, "gone": 1}, "$setOnInsert": {"c": 1}, "$inc": {"n": _LARGE}}
    second = {"$unset": {"gone": ""}, "$push": {"list": {"$each": [1, 2]}}, "$inc": {"n": 1}}
    updates = [UpdateOne({"_id": 1}, update, upsert=True) for update in (first, second)]
    collection.bulk_write(updates)
    collection.bulk_write(
        [UpdateOne({"_id": 1, "n": {"$lt": 0}}, {"$set": {"c": 2}})], ordered=False
    )
    expected = {"_id": 1, "a": {"b": 1}, "c": 1, "n": _LARGE + 1, "list": [1, 2]}
    return collection.find_one({"_id": 1}) == expected


def _has_lists(collection: Collection[Document]) -> bool:
    collection.insert_many([{"_id": n, "kind": n % 2, "at": _AT} for n in range(1, 8)])
    wanted: Document = {"_id": {"$in": [1, 2, 3, 4, 5], "$ne": 3}, "kind": 1, "at": {"$gte": _AT}}
    wanted |= {"$or": [{"_id": {"$gt": 1}}, {"gone": {"$ne": None}}], "more": {"$not": {"$gt": 1}}}
    found = collection.find(wanted, {"kind": 1}).sort([("at", 1), ("_id", -1)]).limit(2)
    return list(found) == [{"_id": 5, "kind": 1}]


def _has_indexes(collection: Collection[Document]) -> bool:
    name = collection.create_index([("kind", 1), ("_id", -1)])
    return name in collection.index_information()
