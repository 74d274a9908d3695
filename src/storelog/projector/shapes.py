"""By which version of its code a read model was filled, stored beside it: one number for each part.

There is one part now: the rules by which names are found (words.py). A new read model gets the
versions of the code that fills it; one that has documents keeps its own until it is filled anew.
Next: upkeep/read_models.py
"""

from typing import Any

from bson.int64 import Int64
from pymongo.database import Database

from storelog.words import RULES

SHAPES = "shapes"
WORDS = "words"
ADVICE = (
    "names are found by the word rules of another release: `storelog rebuild --promote` indexes"
    " them again, while reads go on"
)
Document = dict[str, Any]
_NAMES = ("customer_names", "product_names")


def stamp(database: Database[Document]) -> None:
    """Store the present versions with a read model that has no names yet. Raises PyMongoError."""
    if _has_names(database):
        return
    version = {"$set": {"version": Int64(RULES)}}
    database[SHAPES].update_one({"_id": WORDS}, version, upsert=True)


def is_search_current(database: Database[Document]) -> bool:
    """Tell whether names are indexed by the present word rules. Raises PyMongoError."""
    found = database[SHAPES].find_one({"_id": WORDS})
    if found is None:
        return not _has_names(database)
    return bool(found.get("version") == RULES)


def _has_names(database: Database[Document]) -> bool:
    return any(database[kind].find_one({}, {"_id": 1}) for kind in _NAMES)
