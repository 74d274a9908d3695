"""Compares the pointer to the active read model with the databases that there are.

It must name a database whose checkpoints are those of the shop's lanes. The previous read model
must exist for a rollback, and no checkpoint may stay frozen by a promotion that is over. Beside the
pointer is the record of a rebuild that has begun. Next: verify/offsets.py
"""

import asyncio
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from storelog.read_side import POINTER_ID, POINTERS, is_lane_change
from storelog.verify.report import Report

WHERE, PLACES = f"mongodb.{POINTERS}", "mongodb.checkpoints"
BUILDING_ID = "building"
# A promotion that is just ending moves the pointer before it releases the lanes.
FROZEN_LOOKS, FROZEN_SECONDS = 3, 0.5
Document = dict[str, Any]


class Pointers:
    """The documents about read models in the URI's database. `name`: the right active one."""

    def __init__(self, home: AsyncDatabase[Document], report: Report) -> None:
        self._home = home
        self._collection = home[POINTERS]
        self._report = report
        self._repairs: dict[Any, Document | None] = {}
        self._frozen_by: Any = None
        self.name = home.name
        self.is_wrong = False

    async def compare(self, lanes: set[int]) -> None:
        """Report what differs; `lanes`: the numbers that the shop has, or is about to have."""
        documents = {each["_id"]: each for each in await self._collection.find().to_list()}
        self._report.count(WHERE, len(documents))
        for document_id in documents.keys() - {POINTER_ID, BUILDING_ID}:
            self._differ(document_id, "document", None, "a document")
            self._repairs[document_id] = None
        numbered = await self._numbered()
        building = documents.get(BUILDING_ID)
        begun = building.get("database") if building else None
        await self._compare_active(documents.get(POINTER_ID), lanes, [*numbered.values()], begun)
        self._compare_building(building, max(numbered, default=0))
        await self._compare_frozen()

    async def _numbered(self) -> dict[int, str]:
        """Return the databases that rebuilds have made, by number."""
        prefix = f"{self._home.name}_r"
        names = await self._home.client.list_database_names()
        rest = {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}
        return {int(number): name for number, name in rest.items() if number.isdecimal()}

    async def _compare_active(
        self, found: Document | None, lanes: set[int], numbered: list[str], begun: Any
    ) -> None:
        stored = {"database": self._home.name} if found is None else found
        name = stored.get("database")
        others = [each for each in (self._home.name, *numbered) if each not in (name, begun)]
        is_named = name in (self._home.name, *numbered)
        if not is_named or await self._reached(str(name), lanes) is None:
            reached = {each: await self._reached(each, lanes) for each in others}
            whole = {each: at for each, at in reached.items() if at is not None}
            # The one before the last promotion stands still; of the others, take the newest.
            before = stored.get("previous")
            best = max(whole, key=lambda n: (n != before, whole[n], others.index(n)), default=None)
            if best is not None or not isinstance(name, str):
                self.is_wrong = True
                self._differ(POINTER_ID, "database", best or self._home.name, name)
                name = best or self._home.name
        self.name = str(name)
        right: Document = {"database": self.name}
        for field in ("previous", "promoting"):
            right[field] = stored.get(field)
            if right[field] is not None and not isinstance(right[field], str):
                self._differ(POINTER_ID, field, "a name or null", right[field])
                right[field] = None
        if not is_lane_change(stored.get("laneChange")):
            self._differ(POINTER_ID, "laneChange", None, stored["laneChange"])
            right["laneChange"] = None
        if right["previous"] not in (None, self._home.name, *numbered):
            self._differ(POINTER_ID, "previous", None, right["previous"])
            right["previous"] = None
        if right["previous"] == self.name:
            right["previous"] = None
        if any(right[field] != stored.get(field) for field in right):
            self._repairs[POINTER_ID] = right

    async def _reached(self, name: str, lanes: set[int]) -> int | None:
        """Return how far a read model is; None if its checkpoints are not those of the lanes."""
        places = self._home.client[name]["checkpoints"]
        found = await places.find({}, {"safe": 1}).to_list()
        numbers = {place["_id"] for place in found}
        if not any(numbers == set(range(count)) for count in lanes):
            return None
        reached = [place.get("safe") for place in found]
        return min(at if isinstance(at, int) else 0 for at in reached)

    def _compare_building(self, found: Document | None, highest: int) -> None:
        if found is None:
            return
        number = found.get("number")
        names = [found.get("database"), found.get("source")]
        right: Document = {"database": None, "source": None, "number": highest}
        # A number is used only once, or an older rebuild's database would be taken for this one.
        if not isinstance(number, int) or number < highest:
            self._differ(BUILDING_ID, "number", f"at least {highest}", number)
        elif all(name is None or isinstance(name, str) for name in names):
            return
        else:
            self._differ(BUILDING_ID, "database", "a name or null", names[0])
        self._repairs[BUILDING_ID] = right

    async def _compare_frozen(self) -> None:
        """Find a lane that stands still for a promotion that is over."""
        places = self._home.client[self.name]["checkpoints"]
        for look in range(FROZEN_LOOKS):
            await asyncio.sleep(FROZEN_SECONDS if look else 0)
            frozen = await places.find({"frozen": {"$ne": None}}, {"frozen": 1}).to_list()
            pointer = await self._collection.find_one({"_id": POINTER_ID}) or {}
            left = [each for each in frozen if each["frozen"] != pointer.get("promoting")]
            if not left:
                return
        for place in left:
            self._frozen_by = place["frozen"]
            self._report.differ(PLACES, place["_id"], "frozen", None, place["frozen"])

    def _differ(self, document_id: Any, field: str, expected: Any, found: Any) -> None:
        self._report.differ(WHERE, document_id, field, expected, found)

    async def repair(self) -> int:
        """Write what differed; return how many documents. Processes follow the pointer in 2 s."""
        for document_id, fields in self._repairs.items():
            if fields is None:
                await self._collection.delete_one({"_id": document_id})
            else:
                await self._collection.update_one(
                    {"_id": document_id}, {"$set": fields}, upsert=True
                )
        repaired = len(self._repairs)
        if self._frozen_by is not None:
            places = self._home.client[self.name]["checkpoints"]
            left = {"frozen": self._frozen_by}
            # One by one, for the reason in projector/checkpoints.py.
            for place in await places.find(left, {"_id": 1}).to_list():
                done = await places.update_one({**place, **left}, {"$unset": {"frozen": ""}})
                repaired += done.modified_count
        return repaired
