"""Writes what changed: one document for each block that a batch of a lane touches.

Next: query_service/changes.py
"""

from typing import Any

from bson.int64 import Int64
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.projector.bulk import existing
from storelog.projector.change import Change
from storelog.projector.footing import Footing
from storelog.projector.read_models.changes import COLLECTION, block_of, entry_of, pack


class ChangesWriter:
    """Collects the changes of a batch and flushes them."""

    def __init__(self, database: Database[dict[str, Any]], footing: Footing) -> None:
        self._collection = database[COLLECTION]
        self._footing = footing
        self._blocks: dict[tuple[int, int], list[tuple[int, str, dict[str, Any]]]] = {}

    def add(self, lane: int, change: Change) -> None:
        """Collect one change; those of a lane come in log order."""
        self._blocks.setdefault((block_of(change.position), lane), []).append(entry_of(change))

    def flush(self) -> None:
        """Write everything. Raises PyMongoError; what was written then is written again safely."""
        if not self._blocks:
            return
        documents = [
            {
                "_id": f"{block}/{lane}/{entries[-1][0]}",
                "block": Int64(block),
                "last": Int64(entries[-1][0]),
                "entries": pack(entries),
            }
            for (block, lane), entries in self._blocks.items()
        ]
        try:
            with self._footing.step() as session:
                self._collection.insert_many(documents, ordered=False, session=session)
        except BulkWriteError as error:
            # A crash came after this was written: what stands there begins no later than this.
            existing(error)
        self._blocks = {}
