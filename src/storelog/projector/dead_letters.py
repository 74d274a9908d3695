"""What cannot be projected is kept here with its bytes, cause and place; nothing is dropped.

A parked event holds up the later events of its own aggregate only: they wait here behind it, in
order. A record that is not the relay's is kept too, and holds up nothing.
Next: projector/lane.py
"""

from typing import Any

from bson.int64 import Int64
from confluent_kafka import Message
from pymongo.database import Database

from storelog.envelope import utc_now
from storelog.projector.database import DEAD_LETTERS
from storelog.projector.record import Record

PARKED, WAITING, FOREIGN = "parked", "waiting", "foreign"
Document = dict[str, Any]


def of_record(record: Record, cause: str | None) -> Document:
    """Return the dead letter of a record; no cause: it only waits behind an earlier one."""
    return {
        "_id": str(record.position),
        "aggregate": record.key,
        "position": Int64(record.position),
        "lane": record.lane,
        "topic": record.topic,
        "partition": record.lane,
        "offset": Int64(record.offset),
        "key": record.key,
        "value": record.value,
        "headers": _headers(record.message),
        "cause": cause,
        "state": WAITING if cause is None else PARKED,
        "at": utc_now(),
    }


def of_foreign(message: Message, cause: str) -> Document:
    """Return the dead letter of a record that has no place in the log."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    key = message.key()
    return {
        "_id": f"{topic}/{partition}/{offset}",
        "aggregate": None,
        "position": None,
        "lane": partition,
        "topic": topic,
        "partition": partition,
        "offset": Int64(offset or 0),
        "key": key.decode("utf-8", "replace") if isinstance(key, bytes) else key,
        "value": message.value(),
        "headers": _headers(message),
        "cause": cause,
        "state": FOREIGN,
        "at": utc_now(),
    }


def _headers(message: Message | None) -> list[list[Any]]:
    """Return the headers as pairs, as they came: a name may come twice."""
    pairs: Any = (message.headers() if message else None) or []
    return [list(pair) for pair in pairs]


def keep(database: Database[Document], letters: list[Document]) -> None:
    """Store dead letters; one that is there already stays as it is."""
    for letter in letters:
        database[DEAD_LETTERS].update_one(
            {"_id": letter["_id"]}, {"$setOnInsert": letter}, upsert=True
        )


def parked_aggregates(database: Database[Document], lane: int) -> set[str]:
    """Return the aggregates of the lane whose events wait."""
    found = database[DEAD_LETTERS].find({"lane": lane, "state": PARKED}, {"aggregate": 1})
    return {letter["aggregate"] for letter in found}


def count(database: Database[Document], lane: int) -> int:
    """Return how many events of the log in this lane are not in the read model."""
    held_up = {"lane": lane, "state": {"$in": [PARKED, WAITING]}}
    return database[DEAD_LETTERS].count_documents(held_up)
