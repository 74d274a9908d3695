"""Writes checkpoints again as the log has them, while the lanes stand still.

A checkpoint may have moved on since it was compared: its state is folded on to where it is now.
Next: verify/repair.py
"""

from typing import Any

import asyncpg
from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.envelope import format_time
from storelog.errors import PoisonRecord
from storelog.moments import COLLECTION, pack_moments
from storelog.projector.change import change_of_event
from storelog.verify.absent import DEAD_LETTERS, Absent
from storelog.verify.log import read_log
from storelog.verify.places import BOUNDS, LaneState, Places, lane_of_change

Document = dict[str, Any]


async def repair_places(
    database: AsyncDatabase[Document],
    connection: asyncpg.Connection,
    places: Places,
    absent: Absent,
) -> int:
    """Write the checkpoints that differed; return how many."""
    head = await connection.fetchval("SELECT position FROM log_head")
    for number in sorted(places.bad):
        place = await database["checkpoints"].find_one({"_id": number})
        if place is None:
            continue
        state = places.states[number].copy()
        last = min(place["position"], head)
        behind = await _go_on(database, connection, state, (number, places.lanes), last, absent)
        fields = _fields(state) | {"lanes": places.lanes}
        safe = min(place["safe"], head)
        if behind is not None and behind <= safe:
            safe = behind - 1
        recorded = await connection.fetchval(
            "SELECT recorded_at FROM events WHERE position = $1", safe
        )
        fields["safe"] = Int64(safe)
        fields["safeRecordedAt"] = None if recorded is None else format_time(recorded)
        fields["readAt"] = None
        held_up = {"lane": number, "state": {"$in": ["parked", "waiting"]}}
        fields["deadLetters"] = await database[DEAD_LETTERS].count_documents(held_up)
        await database["checkpoints"].update_one({"_id": number}, {"$set": fields})
    return len(places.bad)


async def _go_on(
    database: AsyncDatabase[Document],
    connection: asyncpg.Connection,
    state: LaneState,
    lane: tuple[int, int],
    last: int,
    absent: Absent,
) -> int | None:
    """Fold a lane's state on to a position; return its next event after that."""
    number, lanes = lane
    head = await connection.fetchval("SELECT position FROM log_head")
    async for events in read_log(connection, state.position, head):
        for event, _ in events:
            try:
                change = change_of_event(event)
            except PoisonRecord:
                continue
            if lane_of_change(change, lanes) != number:
                continue
            if event.position > last:
                return event.position
            rows = state.add(event, change, is_absent=absent.has(event))
            if rows is not None:
                name = {"_id": f"{number}/{state.blocks - 1}"}
                block = {"rows": pack_moments(rows)}
                await database[COLLECTION].replace_one(name, block, upsert=True)
    return None


def _fields(state: LaneState) -> Document:
    bounds = {name: getattr(state, bound) for name, bound in BOUNDS.items()}
    numbers = {name: Int64(value) for name, value in bounds.items() if isinstance(value, int)}
    return {
        **bounds,
        **numbers,
        "position": Int64(state.position),
        "hash": state.hash,
        "momentBlocks": Int64(state.blocks),
        "moments": pack_moments(state.rows),
    }
