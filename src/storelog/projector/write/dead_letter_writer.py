"""Writes a batch's dead letters, and records that are not the relay's; existing letters stay.

Next: projector/dead_letters.py
"""

from collections.abc import Mapping
from typing import Any

from bson.int64 import Int64
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.projector import dead_letters
from storelog.projector.databases.bulk import existing
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.receive.foreign import NOT_KEPT, ForeignLetters

Document = dict[str, Any]


class DeadLetterWriter:
    """Writes outside the transaction, so that a letter stays if the batch is rolled back."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._letters = database[DEAD_LETTERS]

    def write(
        self, letters: Mapping[int, list[Document]], foreign: Mapping[int, ForeignLetters]
    ) -> dict[int, int]:
        """Write both, given by lane. Raises PyMongoError.

        Returns the number of held-up events of the log in each lane that has new letters.
        """
        for lane, records in foreign.items():
            self._insert(records.letters)
            if records.not_kept:
                self._count(lane, records.not_kept)
        for some in letters.values():
            self._insert(some)
        return {lane: dead_letters.count(self._database, lane) for lane in letters}

    def _insert(self, letters: list[Document]) -> None:
        if letters:
            try:
                self._letters.insert_many(letters, ordered=False)
            except BulkWriteError as error:
                existing(error)

    def _count(self, lane: int, not_kept: int) -> None:
        """Count records beyond the limit; after a crash they may count twice."""
        place = {"_id": f"{NOT_KEPT}/{lane}"}
        fields = {"state": NOT_KEPT, "lane": lane}
        more = {"$inc": {"records": Int64(not_kept)}, "$setOnInsert": fields}
        self._letters.update_one(place, more, upsert=True)
