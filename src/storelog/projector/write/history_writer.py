"""Moves the events of full buckets from their documents into the collection `history`.

That takes one read and one insert for every sixteen events of an entity; the others need no write
of their own. A closed bucket never changes, so one that exists already is the same.
Next: documents/histories.py
"""

from collections.abc import Iterable
from typing import Any

from bson.int64 import Int64
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.documents import histories
from storelog.documents.histories import OPEN, Bucket
from storelog.projector.databases.bulk import existing
from storelog.projector.write.transaction import BatchTransaction
from storelog.read_models.read_model import Write
from storelog.read_side import IDS_AT_ONCE

Document = dict[str, Any]


class HistoryWriter:
    """Closes buckets."""

    def __init__(self, database: Database[Document], transaction: BatchTransaction) -> None:
        self._history = database[histories.COLLECTION]
        self._transaction = transaction

    def close(self, collection: Collection[Document], writes: Iterable[Write]) -> dict[int, Bucket]:
        """Write the buckets that end with these writes; return the new open ones by document.

        Raises Fenced and PyMongoError, after which it is safe to repeat.
        """
        ending = [
            write
            for write in writes
            if any(histories.begins_new_bucket(entry.version) for entry in write.entries)
        ]
        known = self._read(collection, [write.document_id for write in ending])
        opened: dict[int, Bucket] = {}
        closed: list[Document] = []
        for write in ending:
            name = histories.name_of(collection.name, write.document_id)
            document = known.get(write.document_id, {})
            # Events at or below the document's position are in its bucket already.
            at = document.get("position", 0)
            newer = [entry for entry in write.entries if entry.position > at]
            fields = histories.shown_fields(name)
            *full, last = histories.split(histories.open_bucket(document), newer, fields)
            opened[write.document_id] = last
            closed += [closed_bucket(name, bucket) for bucket in full]
        self._insert(closed)
        return opened

    def _read(self, collection: Collection[Document], ids: list[int]) -> dict[int, Document]:
        found: dict[int, Document] = {}
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = {"_id": {"$in": ids[start : start + IDS_AT_ONCE]}}
            with self._transaction.step() as session:
                fields = {"position": 1, OPEN: 1}
                documents = list(collection.find(some, fields, session=session))
            found |= {document["_id"]: document for document in documents}
        return found

    def _insert(self, closed: list[Document]) -> None:
        if not closed:
            return
        try:
            with self._transaction.step() as session:
                self._history.insert_many(closed, ordered=False, session=session)
        except BulkWriteError as error:
            existing(error)


def closed_bucket(name: str, bucket: Bucket) -> Document:
    """Return a closed bucket as a document of `history`."""
    position = histories.read_entries(bucket)[-1].position
    label = f"{name}/{histories.bucket_number(bucket)}"
    return {"_id": label, **bucket, "position": Int64(position)}
