"""The databases that hold read models: which ones are kept, and how the others are dropped.

The URI's own database also holds the pointer and the API keys, so only its collections of the read
model are dropped.
Next: read_side.py
"""

from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from storelog.documents import histories, ledgers, moments
from storelog.projector.checkpoints import CHECKPOINTS
from storelog.projector.databases.connection import DEAD_LETTERS, pointer_of
from storelog.projector.fold import live_changes
from storelog.read_models.listed import BY_COLLECTION
from storelog.read_models.shapes import SHAPES
from storelog.read_side import POINTER_ID, POINTERS

BUILDING_ID = "building"
Document = dict[str, Any]
# Checkpoints first: without them a half-dropped read model counts as empty and is filled anew.
COLLECTIONS = (
    CHECKPOINTS,
    *BY_COLLECTION,
    histories.COLLECTION,
    ledgers.LEDGER,
    ledgers.NODES,
    moments.COLLECTION,
    live_changes.COLLECTION,
    DEAD_LETTERS,
    SHAPES,
)
_UNAUTHORIZED = 13


def in_use(home: Database[Document]) -> set[str]:
    """Return the databases of the active read model and of the one before it."""
    pointer = pointer_of(home)
    return {name for name in (pointer.database, pointer.previous) if name is not None}


def all_of(home: Database[Document]) -> list[str]:
    """Return every database that holds a read model or a part of one, or is meant for one."""
    prefix = f"{home.name}_r"
    names = home.client.list_database_names()
    numbered = [n for n in names if n.startswith(prefix) and n[len(prefix) :].isdigit()]
    return [home.name, *sorted(numbered, key=lambda name: int(name[len(prefix) :]))]


def drop_older(home: Database[Document]) -> None:
    """After a promotion, drop all read models except the active, the previous and a begun one.

    Safe to repeat, to run twice at once, and to run beside a rebuild, which names its database
    before creating it. Raises PyMongoError.
    """
    there, pointers, kept = all_of(home), home[POINTERS], in_use(home)
    begun = pointers.find_one({"_id": BUILDING_ID}) or {}
    if begun.get("database") in kept:
        is_done = {"_id": BUILDING_ID, "database": begun["database"]}
        pointers.update_one(is_done, {"$set": {"source": None, "database": None}})
    for name in there:
        if name not in kept | {begun.get("database")}:
            _drop(home, name)
    pointers.update_one(
        {"_id": POINTER_ID, "database": pointer_of(home).database}, {"$set": {"hasOlder": False}}
    )


def _drop(home: Database[Document], name: str) -> None:
    database = home.client[name]
    if name != home.name:
        try:
            home.client.drop_database(name)
            return
        except OperationFailure as error:
            # The projector's account may be allowed to drop collections, but not a database.
            if error.code != _UNAUTHORIZED:
                raise
    for collection in COLLECTIONS:
        database.drop_collection(collection)
