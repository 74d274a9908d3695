"""Compares by which version of the word rules names were indexed with the rules of this code.

Next: verify/pointer.py
"""

from typing import Any

from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.verify.report import Report
from storelog.words import RULES

COLLECTION, WORDS = "shapes", "words"
WHERE = f"mongodb.{COLLECTION}"
Document = dict[str, Any]


class Shapes:
    """The versions that are stored with a read model: one document."""

    def __init__(self, database: AsyncDatabase[Document], report: Report) -> None:
        self._collection = database[COLLECTION]
        self._report = report
        self._bad: set[Any] = set()

    async def compare(self) -> None:
        """Name what differs."""
        found = {
            each["_id"]: each.get("version") for each in await self._collection.find().to_list()
        }
        self._report.count(WHERE)
        for name in found.keys() | {WORDS}:
            expected = RULES if name == WORDS else None
            if found.get(name) != expected:
                self._bad.add(name)
                self._report.differ(WHERE, name, "version", expected, found.get(name))

    async def repair(self) -> int:
        """Write what differed; return how many documents. The names are repaired before it."""
        for name in self._bad:
            if name == WORDS:
                version = {"$set": {"version": Int64(RULES)}}
                await self._collection.update_one({"_id": WORDS}, version, upsert=True)
            else:
                await self._collection.delete_one({"_id": name})
        return len(self._bad)
