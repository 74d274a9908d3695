"""A read model as the bytes that MongoDB has, and a second one of the same log."""

from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from storelog.documents import histories
from storelog.read_models.listed import BY_COLLECTION
from support.embedded import beside
from support.system import System, wait_for

COLLECTIONS = (*BY_COLLECTION, histories.COLLECTION)
_RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
Documents = dict[str, dict[Any, bytes]]


def documents(database: Database[dict[str, Any]]) -> Documents:
    """Return the BSON of each collection's documents, by id.

    Fields are in the order of their names, since how events came in batches decides which MongoDB
    adds first. A document's own history is as it is read: what was kept twice is there once.
    """
    raw = database.with_options(_RAW)
    return {
        name: {document["_id"]: _bytes_of(document) for document in raw[name].find({})}
        for name in COLLECTIONS
    }


def _bytes_of(document: RawBSONDocument) -> bytes:
    fields = dict(document)
    if histories.OPEN in fields:
        own = histories.open_bucket(fields)
        before, starts = own.get("before"), own.get("starts", b"")
        fields[histories.OPEN] = histories.make_bucket(before, histories.read_entries(own), starts)
    return bson.encode(dict(sorted(fields.items())))


def undisturbed(system: System) -> Documents:
    """Return what the real relay and a projector make of a log that no relay has sent yet."""
    with System(beside(system.settings), ("relay", "projector")) as clean:
        last = system.written()

        def is_done() -> bool:
            lanes = [int(lane["safe"]) for lane in clean.mongo.checkpoints.find({})]
            return min(lanes, default=0) == last

        wait_for(is_done, f"a clean projection; its projector said {clean.log('projector')}")
        return documents(clean.mongo)
