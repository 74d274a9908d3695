"""Compares the shapes that a database's read models were filled with to those of this release.

Next: verify/pointer.py
"""

from typing import Any

from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.read_models.shapes import SHAPES, current_shapes, differing, shapes_of, to_do
from storelog.verify.fold import COLLECTIONS
from storelog.verify.report import Report

WHERE = f"mongodb.{SHAPES}"
Document = dict[str, Any]


class ShapesCheck:
    """The shapes that are stored with a database: a document for each read model."""

    def __init__(self, database: AsyncDatabase[Document], report: Report) -> None:
        self._collection = database[SHAPES]
        self._report = report
        self._strays: list[Any] = []
        self._others: dict[str, int | None] = {}

    async def compare(self) -> None:
        """Report what differs, and the command that is needed."""
        found = await self._collection.find().to_list()
        self._report.count(WHERE)
        shapes = shapes_of(found)
        self._others = differing(shapes)
        for name, shape in self._others.items():
            self._report.differ(WHERE, name, "shape", current_shapes()[name], shape)
        if any("shape" in each for each in found):
            self._strays = [each["_id"] for each in found if each["_id"] not in current_shapes()]
        for name in self._strays:
            self._report.differ(WHERE, name, "document", None, "a document")
        advice = to_do(shapes)
        if advice is not None:
            self._report.to_do.append(advice)

    async def repair(self) -> int:
        """Store the shapes of read models whose documents were repaired before; return how many.

        Read models that verify has no fold of its own for keep their shape, and need a rebuild.
        """
        repaired = 0
        for name in self._strays:
            repaired += (await self._collection.delete_one({"_id": name})).deleted_count
        for name in self._others:
            if name in COLLECTIONS:
                stored = {"$set": {"shape": Int64(current_shapes()[name])}}
                await self._collection.update_one({"_id": name}, stored, upsert=True)
                repaired += 1
        return repaired
