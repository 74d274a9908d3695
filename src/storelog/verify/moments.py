"""Compares the full blocks of moments with the log.

Next: verify/places.py
"""

import asyncio
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from storelog.documents.moments import COLLECTION, Moment, pack_moments
from storelog.read_side import IDS_AT_ONCE
from storelog.verify.places import MOMENTS, first_row
from storelog.verify.report import Report

TRIES, LAG_SECONDS = 3, 1.0
Document = dict[str, Any]


class Blocks:
    """`repairs`: the right blocks by name; None: the block must not be there."""

    def __init__(self, database: AsyncDatabase[Document], report: Report) -> None:
        self._database = database
        self._report = report
        self.repairs: dict[Any, bytes | None] = {}

    async def compare(self, full: list[tuple[str, list[Moment], bool]], at_least: int) -> None:
        """Compare blocks, and remove them from the list, while it has at least so many."""
        while len(full) >= at_least:
            some = full[:IDS_AT_ONCE]
            del full[:IDS_AT_ONCE]
            names = {"_id": {"$in": [name for name, _, _ in some]}}
            documents = await self._database[COLLECTION].find(names).to_list()
            found = {document["_id"]: document for document in documents}
            for name, rows, is_late in some:
                self._compare(name, rows, found.get(name), is_late=is_late)

    def _compare(
        self, name: str, rows: list[Moment], found: Document | None, *, is_late: bool
    ) -> None:
        self._report.count(MOMENTS)
        if found is None:
            wrong: tuple[str, Any, Any] | None = ("document", "a block", None)
        elif not isinstance(found.get("rows"), bytes):
            wrong = ("rows", "a block", found.get("rows"))
        else:
            wrong = first_row(rows, found["rows"], is_late=is_late)
        if wrong is not None:
            self._report.differ(MOMENTS, name, *wrong)
            self.repairs[name] = pack_moments(rows)

    async def find_strays(self) -> None:
        """Find blocks beyond those of every lane."""
        names = {d["_id"] async for d in self._database[COLLECTION].find({}, {"_id": 1})}
        for _ in range(TRIES):
            places = self._database["checkpoints"].find({}, {"momentBlocks": 1})
            blocks = {place["_id"]: int(place["momentBlocks"]) async for place in places}
            names -= {f"{lane}/{block}" for lane, count in blocks.items() for block in range(count)}
            if not names:
                return
            # A block may be written a moment before its checkpoint.
            await asyncio.sleep(LAG_SECONDS)
        for name in sorted(names, key=str):
            self._report.differ(MOMENTS, name, "document", None, "a block")
            self.repairs[name] = None

    async def repair(self) -> int:
        """Write the right blocks, remove the others; return how many documents."""
        blocks, repaired = self._database[COLLECTION], 0
        for name, rows in self.repairs.items():
            if rows is None:
                repaired += (await blocks.delete_one({"_id": name})).deleted_count
            else:
                await blocks.replace_one({"_id": name}, {"rows": rows}, upsert=True)
                repaired += 1
        return repaired
