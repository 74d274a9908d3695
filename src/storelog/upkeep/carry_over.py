"""Carries over from the live read model's dead letters to a new one: discards, and foreign records.

Discarded events stay left out, in the lane that they have in the new read model. An event that
cannot be projected yet becomes a dead letter of the new one when it is filled.
Next: upkeep/rebuild.py
"""

from typing import Any
from uuid import UUID

import asyncpg
from bson.int64 import Int64
from pymongo import ReplaceOne
from pymongo.database import Database

from storelog.errors import CannotRun
from storelog.event_codec import lane_of_event
from storelog.projector.checkpoints import CHECKPOINTS
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.dead_letters import DISCARD, DISCARDED, PARKED, WAITING, version_of
from storelog.projector.receive.foreign import FOREIGN, NOT_KEPT
from storelog.read_side import IDS_AT_ONCE
from storelog.relay import cursor

Document = dict[str, Any]
_POSITION = """SELECT position FROM events
    WHERE aggregate_type = $1 AND aggregate_id = $2 AND version = $3 AND event_id = $4"""
_OF_EVENTS = {"state": DISCARDED, "position": {"$ne": None}}


def discarded_ids(database: Database[Document]) -> set[str]:
    """Return the ids of the events that a read model leaves out."""
    return {letter["_id"] for letter in database[DEAD_LETTERS].find(_OF_EVENTS, {"_id": 1})}


def lacks_discards(target: Database[Document], live: Database[Document]) -> bool:
    """Tell whether the target holds an event that was discarded since: it must be begun anew."""
    done = max((int(place["position"]) for place in target[CHECKPOINTS].find({})), default=0)
    missing = discarded_ids(live) - discarded_ids(target)
    return any(int(letter) <= done for letter in missing)


async def carry_discards(
    connection: asyncpg.Connection, target: Database[Document], live: Database[Document], lanes: int
) -> None:
    """Leave the events out of the target that the live read model leaves out.

    An event that the target holds already stays; one in its dead letters is to be discarded. An
    event that was appended again at another position is left out there.
    """
    letters = target[DEAD_LETTERS]
    done = max((int(place["position"]) for place in target[CHECKPOINTS].find({})), default=0)
    known = discarded_ids(target)
    for letter in list(live[DEAD_LETTERS].find(_OF_EVENTS)):
        position = await _position_of(connection, letter)
        if position is None or str(position) in known:
            continue
        if position <= done:
            held_up = {"_id": str(position), "state": {"$in": [PARKED, WAITING]}}
            letters.update_one(held_up, {"$set": {"asked": DISCARD}})
            continue
        lane = await lane_in_log(connection, position, lanes)
        place = {"_id": str(position), "position": Int64(position), "lane": lane}
        letters.insert_one({**letter, **place})


async def _position_of(connection: asyncpg.Connection, letter: Document) -> int | None:
    """Return where the log has a dead letter's event; None where it was lost with a history."""
    headers, position = dict(letter["headers"]), int(letter["position"])
    kept = await cursor.hash_at(connection, position)
    if kept is not None and kept.hex().encode() == headers.get("hash"):
        return position
    kind, _, number = letter["aggregate"].rpartition("-")
    try:
        event = kind, int(number), version_of(letter), UUID(headers["ce_id"].decode())
    except (KeyError, ValueError, AttributeError):
        # A damaged record, which has no other place that could be told.
        return None
    found: int | None = await connection.fetchval(_POSITION, *event)
    return found


async def lane_in_log(connection: asyncpg.Connection, position: int, lanes: int) -> int:
    """Return an event's lane of `lanes`, from the event in the log. Raises CannotRun."""
    found = await cursor.read_after(connection, position - 1, 1)
    if not found:
        raise CannotRun(f"the log has no event {position}")
    event = found[0]
    return lane_of_event(event.aggregate_type, event.aggregate, event.payload, lanes)


def carry_foreign(target: Database[Document], live: Database[Document]) -> None:
    """Copy the records that the relay did not send, as the live read model has them now."""
    of_no_event = {"position": None, "state": {"$in": [FOREIGN, NOT_KEPT, DISCARDED]}}
    some: list[ReplaceOne[Document]] = []
    for letter in live[DEAD_LETTERS].find(of_no_event, batch_size=IDS_AT_ONCE):
        some.append(ReplaceOne({"_id": letter["_id"]}, letter, upsert=True))
        if len(some) >= IDS_AT_ONCE:
            target[DEAD_LETTERS].bulk_write(some, ordered=False)
            some = []
    if some:
        target[DEAD_LETTERS].bulk_write(some, ordered=False)
