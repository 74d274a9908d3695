"""Writes a batch of folded changes in bulk: at most one write for each document.

A write applies only if its position is above the document's, so nothing changes twice after a
repeat, a crash, or a paused projector that wakes up. New documents are plain inserts, which cost a
fraction of an upsert; if the document exists already, a guarded update follows. An event's entry in
its entity's history is part of the same write. Next: query_service/positions/freshness.py
"""

from collections.abc import Mapping
from typing import Any

from bson.int64 import Int64
from pymongo import InsertOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.documents import histories
from storelog.documents.histories import OPEN, Bucket
from storelog.projector.databases.bulk import existing
from storelog.projector.write.history_writer import HistoryWriter
from storelog.projector.write.transaction import BatchTransaction
from storelog.read_models.read_model import Write

BulkOperation = InsertOne[dict[str, Any]] | UpdateOne


class DocumentWriter:
    """Writes the documents of one batch after the other."""

    def __init__(self, database: Database[dict[str, Any]], transaction: BatchTransaction) -> None:
        self._database = database
        self._transaction = transaction
        self._histories = HistoryWriter(database, transaction)

    def write(
        self, documents: Mapping[str, dict[int, Write]], marks: Mapping[str, dict[int, Write]]
    ) -> None:
        """Write both, given by collection and id.

        Raises PyMongoError, after which it is safe to repeat, and Fenced where this is another read
        model than the one from which the lanes were loaded.
        """
        for collection, writes in documents.items():
            self._write(self._database[collection], list(writes.values()))
        # A mark needs no guard: it always sets the same values, however often and whenever.
        for collection, writes in marks.items():
            operations = [
                UpdateOne({"_id": i}, {"$set": write.fields}, upsert=True)
                for i, write in writes.items()
            ]
            with self._transaction.step() as session:
                _bulk_again(self._database[collection], operations, session)

    def _write(self, collection: Collection[dict[str, Any]], writes: list[Write]) -> None:
        opened = self._histories.close(collection, writes)
        new = [write for write in writes if write.is_new]
        # A new entity's history is complete here, so its bucket is made without reading one.
        begun = {
            write.document_id: histories.make_bucket(None, write.entries)
            for write in new
            if write.entries
        }
        buckets = begun | opened
        updates = [_guarded(write, buckets) for write in writes if not write.is_new]
        if new:
            documents = [{"_id": write.document_id, **_fields(write, buckets)} for write in new]
            try:
                with self._transaction.step() as session:
                    collection.insert_many(documents, ordered=False, session=session)
            except BulkWriteError as error:
                updates += [
                    _guarded(new[index], buckets, may_make=False) for index in existing(error)
                ]
        if updates:
            with self._transaction.step() as session:
                _bulk_again(collection, updates, session)


def _fields(write: Write, buckets: dict[int, Bucket]) -> dict[str, Any]:
    bucket = buckets.get(write.document_id)
    return write.fields if bucket is None else {**write.fields, OPEN: bucket}


def _guarded(write: Write, buckets: dict[int, Bucket], *, may_make: bool = True) -> UpdateOne:
    older = {"_id": write.document_id, "position": {"$not": {"$gte": Int64(write.position)}}}
    change: dict[str, Any] = {"$set": _fields(write, buckets)}
    if write.entries and write.document_id not in buckets:
        added = [histories.encode_entry(entry) for entry in write.entries]
        change["$push"] = {f"{OPEN}.entries": {"$each": added}}
    return UpdateOne(older, change, upsert=write.is_whole and may_make)


def _bulk_again(
    collection: Collection[dict[str, Any]],
    operations: list[UpdateOne],
    session: ClientSession | None,
) -> None:
    """Write; repeat as a plain update an upsert whose document was created meanwhile."""
    try:
        collection.bulk_write(operations, ordered=False, session=session)
    except BulkWriteError as error:
        if session is not None:
            raise
        again = [operations[index] for index in existing(error)]
        plain = [UpdateOne(o._filter, o._doc, upsert=False) for o in again]
        collection.bulk_write(plain, ordered=False)
