"""Reads the error of a bulk write. Next: projector/write/document_writer.py"""

from pymongo.errors import BulkWriteError

_DUPLICATE_KEY = 11000


def existing(error: BulkWriteError) -> list[int]:
    """Return the indexes of the writes that met an existing document; re-raise any other error."""
    details = error.details or {}
    failures = details.get("writeErrors", [])
    others = [failure for failure in failures if failure["code"] != _DUPLICATE_KEY]
    if others or details.get("writeConcernErrors") or not failures:
        raise error
    return [failure["index"] for failure in failures]
