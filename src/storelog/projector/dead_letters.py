"""Dead letters: events that cannot be projected, kept with their bytes, cause and place.

A parked event holds up the later events of its own aggregate only: they wait here behind it, in
order. Records that are not the relay's are kept by `projector/receive/foreign.py`. A command such
as `storelog dead-letters` only sets the field `asked`; the projector that owns the lane acts on it,
since no other process may write the lane's documents.
Next: projector/retries.py
"""

from typing import Any

from bson.int64 import Int64
from pymongo.database import Database

from storelog.envelope import utc_now
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.fold.left_out import LeftOut
from storelog.projector.receive.record import Record

# A discarded letter holds up nothing and is never applied; it is kept as a record of the decision.
PARKED, WAITING, DISCARDED = "parked", "waiting", "discarded"
RETRY, DISCARD = "retry", "discard"
# A MongoDB document holds 16 MiB. A larger value is no event, and only its beginning is kept.
MAX_KEPT_BYTES = 12 * 1024 * 1024
Document = dict[str, Any]


def of_record(record: Record, cause: str | None, lane: int) -> Document:
    """Return the dead letter of a record; without a cause it only waits behind an earlier one.

    `lane`: the aggregate's lane in this read model, whose owner settles the letter.
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
    """Return the lane's aggregates whose events wait, each with the first position that does."""
    wanted = {"aggregate": 1, "position": 1}
    found = database[DEAD_LETTERS].find({"lane": lane, "state": PARKED}, wanted)
    parked: dict[str, int] = {}
    for letter in found:
        at, aggregate = int(letter["position"]), letter["aggregate"]
        parked[aggregate] = min(at, parked.get(aggregate, at))
    return parked


def version_of(letter: Document) -> int:
    """Return the version of its aggregate that a dead letter's event made."""
    return int(dict(letter["headers"])["aggregate_version"])


def left_out(database: Database[Document], lane: int) -> LeftOut:
    """Return the lane's events that must never be applied."""
    wanted = {"lane": lane, "state": DISCARDED, "position": {"$ne": None}}
    out = LeftOut()
    for letter in database[DEAD_LETTERS].find(wanted, {"value": 0}):
        out.add(letter["aggregate"], int(letter["position"]), version_of(letter))
    return out


def count(database: Database[Document], lane: int) -> int:
    """Return how many events of the log in this lane are not in the read model."""
    held_up = {"lane": lane, "state": {"$in": [PARKED, WAITING]}}
    return database[DEAD_LETTERS].count_documents(held_up)
