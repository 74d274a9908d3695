"""Rewrites checkpoints from the log, while the lanes stand still.

A checkpoint may have moved on since it was compared, so its state is folded up to its present
position.
Next: verify/repair.py
"""

from collections.abc import Mapping
from typing import Any

import asyncpg
from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.documents.moments import COLLECTION, pack_moments
from storelog.envelope import Envelope, format_time
from storelog.errors import PoisonRecord
from storelog.read_models.change import change_of_event
from storelog.verify.absent import DEAD_LETTERS, Absent
from storelog.verify.log import read_log
from storelog.verify.offsets import Offsets
from storelog.verify.places import BOUNDS, LaneState, Places, lane_of_change

Document = dict[str, Any]


class PlacesRepair:
    """The checkpoints that differ. `bad`: their lanes."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        connection: asyncpg.Connection,
        places: Places,
        absent: Absent,
        offsets: Offsets,
    ) -> None:
        self._database = database
        self._connection = connection
        self._lanes = places.lanes
        self._absent = absent
        self._offsets = offsets.bad
        self.bad = {*places.bad, *offsets.bad} & places.states.keys()
        # The state of each lane as it was compared, and the position up to which it was folded
        # since.
        self._begun = {number: places.states[number] for number in self.bad}
        self._states = {number: state.copy() for number, state in self._begun.items()}
        self._folded = {number: state.position for number, state in self._begun.items()}

    async def go_on(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Fold the lanes' states up to these positions; return each lane's next event after it."""
        if not self.bad:
            return {}
        head: int = await self._connection.fetchval("SELECT position FROM log_head")
        lasts = {number: min(ends.get(number, 0), head) for number in self.bad}
        for number, last in lasts.items():
            if self._states[number].position > last:
                # The checkpoint was set back meanwhile.
                self._states[number] = self._begun[number].copy()
                self._folded[number] = self._states[number].position
        follows: dict[int, int] = {}
        async for events in read_log(self._connection, min(self._folded.values()), head):
            for event, _ in events:
                await self._add(event, lasts, follows)
            if self.bad <= follows.keys():
                break
        self._folded = {number: follows.get(number, head + 1) - 1 for number in self.bad}
        return follows

    async def _add(
        self, event: Envelope, lasts: Mapping[int, int], follows: dict[int, int]
    ) -> None:
        """Fold an event, or note it as the next one after its lane's position."""
        try:
            change = change_of_event(event)
        except PoisonRecord:
            return
        number = lane_of_change(change, self._lanes)
        if number not in self.bad or event.position <= self._folded[number]:
            return
        if event.position > lasts[number]:
            follows.setdefault(number, event.position)
            return
        state = self._states[number]
        rows = state.add(event, change, is_absent=self._absent.has(event))
        if rows is not None:
            name = {"_id": f"{number}/{state.blocks - 1}"}
            block = {"rows": pack_moments(rows)}
            await self._database[COLLECTION].replace_one(name, block, upsert=True)

    async def write(self, ends: Mapping[int, int]) -> int:
        """Write the checkpoints at these positions, while no projector writes; return how many."""
        if not self.bad:
            return 0
        head = await self._connection.fetchval("SELECT position FROM log_head")
        follows = await self.go_on(ends)
        for number in sorted(self.bad):
            place = await self._database["checkpoints"].find_one({"_id": number})
            if place is None:
                continue
            fields = _fields(self._states[number]) | {"lanes": self._lanes}
            # Readers trust everything up to `safe`, so it must end before the next event of the
            # lane.
            safe = min(place["safe"], head, follows.get(number, head + 1) - 1)
            recorded = await self._connection.fetchval(
                "SELECT recorded_at FROM events WHERE position = $1", safe
            )
            fields["safe"] = Int64(safe)
            fields["safeRecordedAt"] = None if recorded is None else format_time(recorded)
            # Not known until the next watermark; a wrong time would promise freshness.
            fields["readAt"] = None
            held_up = {"lane": number, "state": {"$in": ["parked", "waiting"]}}
            letters = self._database[DEAD_LETTERS]
            fields["deadLetters"] = await letters.count_documents(held_up)
            fields["offsets"] = self._right_offsets(number, place["offsets"])
            await self._database["checkpoints"].update_one({"_id": number}, {"$set": fields})
        return len(self.bad)

    def _right_offsets(self, number: int, found: list[Document]) -> list[Document]:
        """Return the offsets, with wrong ones set to their partition's beginning."""
        bad = self._offsets.get(number, {})
        right = []
        for entry in found:
            wrong, first = bad.get(entry["topic"], (None, 0))
            is_wrong = entry["offset"] == wrong
            right.append({**entry, "offset": Int64(first)} if is_wrong else entry)
        return right


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
