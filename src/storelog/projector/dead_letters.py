"""What cannot be projected is kept here with its bytes, cause and place; nothing is dropped.

A parked event holds up the later events of its own aggregate only: they wait here behind it, in
order. Records that are not the relay's are kept by `projector/receive/foreign.py`. Commands only
ask, by the field `asked`; the projector that owns the lane does it, since it alone writes the
lane's documents.
Next: projector/retries.py
"""

from typing import Any

from bson.int64 import Int64
from pymongo.database import Database

from storelog.envelope import utc_now
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.fold.left_out import LeftOut
from storelog.projector.receive.record import Record

# `discarded` is no longer held up, and never applied; it is kept as a record of that.
PARKED, WAITING, DISCARDED = "parked", "waiting", "discarded"
RETRY, DISCARD = "retry", "discard"
# A MongoDB document holds 16 MiB; of a value that is larger than any event, the beginning is kept.
MAX_KEPT_BYTES = 12 * 1024 * 1024
Document = dict[str, Any]


def of_record(record: Record, cause: str | None, lane: int) -> Document:
    """Return the dead letter of a record; no cause: it only waits behind an earlier one.

    `lane`: the one that its aggregate has in this read model, whose owner settles it.
    """
    return {
        "_id": str(record.position),
        "aggregate": record.aggregate,
        "position": Int64(record.position),
        "lane": lane,
        "topic": record.topic,
        "partition": record.lane,
        "offset": Int64(record.offset),
        "key": record.key,
        "value": _kept(record.value),
        "headers": [list(pair) for pair in record.headers],
        "cause": cause,
        "state": WAITING if cause is None else PARKED,
        "at": utc_now(),
    }


def _kept(value: bytes | str | None) -> bytes | str | None:
    return None if value is None else value[:MAX_KEPT_BYTES]


def parked_aggregates(database: Database[Document], lane: int) -> dict[str, int]:
    """Return the lane's aggregates whose events wait, and from which position on."""
    wanted = {"aggregate": 1, "position": 1}
    found = database[DEAD_LETTERS].find({"lane": lane, "state": PARKED}, wanted)
    parked: dict[str, int] = {}
    for letter in found:
        at, aggregate = int(letter["position"]), letter["aggregate"]
        parked[aggregate] = min(at, parked.get(aggregate, at))
    return parked


def version_of(letter: Document) -> int:
    """Return which version of its aggregate a dead letter's event made."""
    return int(dict(letter["headers"])["aggregate_version"])


def left_out(database: Database[Document], lane: int) -> LeftOut:
    """Return which of the lane's events are never to be applied."""
    wanted = {"lane": lane, "state": DISCARDED, "position": {"$ne": None}}
    out = LeftOut()
    for letter in database[DEAD_LETTERS].find(wanted, {"value": 0}):
        out.add(letter["aggregate"], int(letter["position"]), version_of(letter))
    return out


def count(database: Database[Document], lane: int) -> int:
    """Return how many events of the log in this lane are not in the read model."""
    held_up = {"lane": lane, "state": {"$in": [PARKED, WAITING]}}
    return database[DEAD_LETTERS].count_documents(held_up)
