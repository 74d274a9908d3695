"""Writes what changed: one document for each block that a batch of a lane touches.

Next: query_service/live/changes.py
"""

from typing import Any

from bson.int64 import Int64
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.projector.databases.bulk import existing
from storelog.projector.fold.live_changes import COLLECTION, pack
from storelog.projector.write.transaction import Footing

# By block and lane: each change's position, its event's type, and its facts.
Changes = dict[tuple[int, int], list[tuple[int, str, dict[str, Any]]]]


class ChangesWriter:
    """Writes the changes of one batch after the other."""

    def __init__(self, database: Database[dict[str, Any]], footing: Footing) -> None:
        self._collection = database[COLLECTION]
        self._footing = footing

    def write(self, changes: Changes) -> None:
        """Write everything. Raises PyMongoError; what was written then is written again safely."""
        if not changes:
            return
        documents = [
            {
                "_id": f"{block}/{lane}/{entries[-1][0]}",
                "block": Int64(block),
                "last": Int64(entries[-1][0]),
                "entries": pack(entries),
            }
            for (block, lane), entries in changes.items()
        ]
        try:
            with self._footing.step() as session:
                self._collection.insert_many(documents, ordered=False, session=session)
        except BulkWriteError as error:
            # A crash came after this was written: what stands there begins no later than this.
            existing(error)
