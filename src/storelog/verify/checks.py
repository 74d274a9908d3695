"""All comparisons of the read model, together: fold the log once, then finish.

Next: verify/verify.py
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import asyncpg
from pymongo.asynchronous.database import AsyncDatabase

from storelog.envelope import Envelope
from storelog.read_models.change import Change
from storelog.read_models.listed import TOTALS_MODELS
from storelog.read_models.shapes import SHAPES, shapes_of
from storelog.verify.absent import Absent, read_letters
from storelog.verify.changes import ChangesCheck
from storelog.verify.history import ComparedHistories
from storelog.verify.ledger import Ledger
from storelog.verify.listed_totals import TotalsCheck
from storelog.verify.log import read_log
from storelog.verify.moments import Blocks
from storelog.verify.places import WHERE, Places
from storelog.verify.read_model import ComparedDocuments
from storelog.verify.report import Report
from storelog.verify.shapes import ShapesCheck
from storelog.verify.suspects import Inspection

BLOCKS_AT_ONCE = 17
# A letter and the count of its lane are written one after the other, so one look may find them
# different.
LETTER_LOOKS, LETTER_SECONDS = 3, 1.0
Document = dict[str, Any]
Progress = Callable[[str, int, int], None]
ReadChanges = Callable[[Iterable[Envelope]], list[Change]]


class Checks:
    """The read model up to `position`. `read` makes changes of events, unreadable ones left out."""

    def __init__(
        self,
        database: AsyncDatabase[Document],
        connection: asyncpg.Connection,
        report: Report,
        position: int,
        places: list[Document],
        lanes: int,
        read: ReadChanges,
    ) -> None:
        self._database = database
        self._connection = connection
        self.report = report
        self.position = position
        self._read = read
        self.absent = Absent()
        self.model = ComparedDocuments(database, report, position, connection)
        self._lanes = lanes
        self.ledger = Ledger(database, report, position, lanes)
        self.histories = ComparedHistories(database, report, position)
        self.changes = ChangesCheck(database, report, position)
        self.places = Places(report, places, lanes)
        self.blocks = Blocks(database, report)
        self.shapes = ShapesCheck(database, report)
        self.totals: list[TotalsCheck] = []
        self.inspection: Inspection | None = None

    async def scan(self, head: int) -> int:
        """Read all documents once; return the newest position among them.

        `head`: a position of the log that no document had passed when the scan began.
        """
        shapes = shapes_of(await self._database[SHAPES].find({}).to_list())
        for model in TOTALS_MODELS:
            if model.collection in shapes:
                place = self._database, self.report, self.position, self._lanes
                self.totals.append(TotalsCheck(*place, model, shapes[model.collection]))
        for totals in self.totals:
            await totals.scan()
        newest = [totals.newest for totals in self.totals]
        return max([await self.model.scan(head, shapes), *newest])

    async def read_absent(self) -> None:
        """Read the dead letters, which tell what the read model lacks."""
        self.absent.take(await read_letters(self._database))
        self.report.discarded = sorted(self.absent.discarded)
        if self.absent.positions:
            self.report.checked["deadLetters"] = len(self.absent.positions)

    def present(self, events: Iterable[Envelope]) -> list[Change]:
        """Return the changes of events that the read model must hold."""
        return self.absent.without(self._read(events))

    async def fold(self, events: Sequence[Envelope], changes: Sequence[Change]) -> None:
        """Fold the log's next events, and their changes."""
        by_position = {event.position: event for event in events}
        projected = []
        for change in changes:
            is_absent = self.absent.has(change)
            # A checkpoint also moves over dead letters, so `places` gets every event.
            self.places.add(by_position[change.position], change, is_absent=is_absent)
            if not is_absent and change.position <= self.position:
                projected.append(change)
        await self.model.fold(projected)
        self._fold_totals(projected)
        self.ledger.fold(projected)
        await self.histories.fold(projected)
        await self.changes.fold(events[-1].position, projected)
        await self.blocks.compare(self.places.full, BLOCKS_AT_ONCE)

    async def finish(self, newest: int, progress: Progress) -> None:
        """Compare the rest, and inspect what does not agree."""
        connection = self._connection
        # First of all, since documents that moved on meanwhile need these events to add up.
        await self._compare_newer(newest)
        await self.histories.finish()
        await self.ledger.finish()
        head = await connection.fetchval("SELECT position FROM log_head")
        await self.changes.finish(head)
        await self.blocks.compare(self.places.full, 1)
        await self.blocks.find_strays()
        self.places.finish(head, await connection.fetchval("SELECT clock_timestamp()"))
        await self.shapes.compare()
        await self._compare_letters()
        await self._inspect(progress)

    async def _compare_newer(self, newest: int) -> None:
        """Fold the events that were written meanwhile, for documents that have them."""
        await self.read_absent()
        head = await self._connection.fetchval("SELECT position FROM log_head")
        async for events in read_log(self._connection, self.position, min(newest, head)):
            changes = self.present(event for event, _ in events)
            await self.model.fold_later(changes)
            self._fold_totals(changes)
        for totals in self.totals:
            totals.finish()

    def _fold_totals(self, changes: Sequence[Change]) -> None:
        for totals in self.totals:
            totals.fold(changes)

    async def _compare_letters(self) -> None:
        """Compare each lane's count of dead letters, several times, since letters come and go."""
        wrong: dict[int, tuple[int, int]] = {}
        for turn in range(LETTER_LOOKS):
            await asyncio.sleep(LETTER_SECONDS if turn else 0)
            letters = await read_letters(self._database)
            counted = dict.fromkeys(self.places.states, 0)
            for letter in letters:
                if letter["state"] in ("parked", "waiting") and letter["lane"] in counted:
                    counted[letter["lane"]] += 1
            places = self._database["checkpoints"].find({}, {"deadLetters": 1})
            stored = {place["_id"]: place["deadLetters"] async for place in places}
            now = {n: (c, stored[n]) for n, c in counted.items() if n in stored and c != stored[n]}
            wrong = now if not wrong else {n: w for n, w in now.items() if wrong.get(n) == w}
            if not wrong:
                return
        for number, (expected, found) in wrong.items():
            self.places.bad.add(number)
            self.report.differ(WHERE, number, "deadLetters", expected, found)

    async def _inspect(self, progress: Progress) -> None:
        """Inspect what does not agree, with the log read again up to its present end."""
        inspection = self.inspection = self.model.inspection()
        totals = [each for each in self.totals if each.is_wrong]
        if inspection is None and not self.ledger.suspects and not totals:
            return
        for each in totals:
            await each.scan()
        if inspection is not None:
            await inspection.read()
        await self.read_absent()
        head = await self._connection.fetchval("SELECT position FROM log_head")
        async for events in read_log(self._connection, 0, head):
            changes = self.present(event for event, _ in events)
            self.ledger.fold_closely(changes)
            for each in totals:
                each.fold(changes)
            if inspection is not None:
                await inspection.fold(changes)
            progress("inspected", events[-1][0].position, head)
        await self.ledger.finish_closely()
        for each in totals:
            each.finish()
        if inspection is not None:
            inspection.finish()
