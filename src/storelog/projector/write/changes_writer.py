"""Writes the changes for GET /live: one document for each block that a lane's batch touches.

Next: query_service/live/changes.py
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.int64 import Int64
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.projector.batch import LiveChange
from storelog.projector.databases.bulk import existing
from storelog.projector.fold.live_changes import COLLECTION, pack
from storelog.projector.write.transaction import BatchTransaction


class ChangesWriter:
    """Writes the changes of one batch after the other."""

    def __init__(self, database: Database[dict[str, Any]], transaction: BatchTransaction) -> None:
        self._collection = database[COLLECTION]
        self._transaction = transaction

    def write(self, changes: Mapping[tuple[int, int], Sequence[LiveChange]]) -> None:
        """Write changes, given by block and lane.

        Raises PyMongoError, after which it is safe to repeat.
        """
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
            with self._transaction.step() as session:
                self._collection.insert_many(documents, ordered=False, session=session)
        except BulkWriteError as error:
            # A crash came after the document was written. It ends at the same position and begins
            # no later, so it already has all of these changes.
            existing(error)
