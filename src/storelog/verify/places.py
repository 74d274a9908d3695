"""Compares the lanes' checkpoints, bounds and moments with the log, as far as each checkpoint says.

A lane's state is folded from the log, event by event: where its documents end, and when each of its
positions was recorded. At the checkpoint's position, both must be equal. After a dead letter was
replayed late (`isLate`), the bounds in older moments are not compared.
Next: verify/repair_places.py
"""

import struct
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, assert_never

from storelog.documents.moments import BLOCK_ROWS, Moment, unpack_moments
from storelog.envelope import Envelope, format_time, milliseconds
from storelog.event_codec import lane_of, owner_of
from storelog.read_models.change import Change
from storelog.shop.events import id_of, order_date_of
from storelog.verify.offsets import has_offsets
from storelog.verify.report import Report

WHERE, MOMENTS = "mongodb.checkpoints", "mongodb.moments"
Document = dict[str, Any]
# The checkpoint's name of each bound.
BOUNDS = {
    "highestCustomer": "customers",
    "highestProduct": "products",
    "oldestOrder": "oldest",
    "newestOrder": "newest",
}
_NUMBERS = ("position", "safe", "leaf", "momentBlocks", "deadLetters", *list(BOUNDS)[:2])


def lane_of_change(change: Change, lanes: int) -> int:
    """Return the lane of an event: orders go with their customer."""
    return lane_of(owner_of(change.event), lanes)


def is_whole(place: Document) -> bool:
    """Tell whether a checkpoint has all that its readers need, with the right types."""
    numbers = all(isinstance(place.get(name), int) for name in _NUMBERS)
    has_moments = isinstance(place.get("moments"), bytes)
    return numbers and has_moments and "hash" in place and has_offsets(place)


@dataclass(slots=True)
class LaneState:
    """A lane after some events: the last one, its bounds, and rows of moments not in a block."""

    position: int = 0
    hash: str = ""
    customers: int = 0
    products: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    blocks: int = 0
    rows: list[Moment] = field(default_factory=list)

    def add(self, event: Envelope, change: Change, *, is_absent: bool) -> list[Moment] | None:
        """Move on by an event; return the block of moments that is full with it, if one is."""
        if not is_absent:
            self._move_bound(change)
        self.position, self.hash = event.position, event.hash.hex()
        recorded = milliseconds(event.recorded_at)
        if self.rows and self.rows[-1].recorded_ms >= recorded:
            # Events of one millisecond share a row, and time never goes back.
            recorded = self.rows.pop().recorded_ms
        oldest = None if self.oldest is None else milliseconds(self.oldest)
        newest = None if self.newest is None else milliseconds(self.newest)
        self.rows.append(
            Moment(event.position, recorded, self.customers, self.products, oldest, newest)
        )
        if len(self.rows) <= BLOCK_ROWS:
            return None
        full, self.rows = self.rows[:BLOCK_ROWS], self.rows[BLOCK_ROWS:]
        self.blocks += 1
        return full

    def _move_bound(self, change: Change) -> None:
        """Move the bound within which the event's document is."""
        bound = change.kind.entity.bound
        match bound:
            case None:
                pass
            case "customers":
                self.customers = max(self.customers, id_of(change.event))
            case "products":
                self.products = max(self.products, id_of(change.event))
            case "orders":
                at = order_date_of(change.event)
                if at is not None:
                    self.oldest = at if self.oldest is None or at < self.oldest else self.oldest
                    self.newest = at if self.newest is None or at > self.newest else self.newest
            case _:
                assert_never(bound)

    def copy(self) -> "LaneState":
        """Return an independent copy."""
        return replace(self, rows=list(self.rows))


class Places:
    """The checkpoints as they were when the run began. `bad`: lanes to rewrite."""

    def __init__(self, report: Report, places: list[Document], lanes: int) -> None:
        self._report = report
        self.lanes = lanes
        self._found = {place["_id"]: place for place in places}
        self.states = {number: LaneState() for number in self._found}
        self.full: list[tuple[str, list[Moment], bool]] = []
        self._safe = {int(place["safe"]) for place in places}
        self._recorded: dict[int, datetime] = {}
        self._behind: dict[int, int] = {}
        self.bad: set[int] = set()

    def add(self, event: Envelope, change: Change, *, is_absent: bool) -> None:
        """Fold the log's next event; `full` gets the blocks that it fills."""
        number = lane_of_change(change, self.lanes)
        place = self._found.get(number)
        if event.position in self._safe:
            self._recorded[event.position] = event.recorded_at
        if place is None:
            return
        if event.position > place["position"]:
            # `safe` promises everything up to it, so an event between the two is missing.
            if event.position <= place["safe"]:
                self._behind.setdefault(number, event.position)
            return
        state = self.states[number]
        rows = state.add(event, change, is_absent=is_absent)
        if rows is not None:
            label = f"{number}/{state.blocks - 1}"
            self.full.append((label, rows, bool(place.get("isLate"))))

    def finish(self, head: int, now: datetime) -> None:
        """Compare the checkpoints; `head` and `now` are the log's end and PostgreSQL's clock."""
        for number, place in self._found.items():
            self._report.count(WHERE)
            state = self.states[number]
            self._compare(number, "position", state.position, place["position"])
            if place["position"] == state.position:
                self._compare(number, "hash", state.hash, place["hash"])
            if number in self._behind:
                self._compare(number, "position", self._behind[number], place["position"])
            if place["safe"] > head:
                self._compare(number, "safe", head, place["safe"])
            elif place["safe"]:
                at = self._recorded.get(place["safe"])
                expected = None if at is None else format_time(at)
                self._compare(number, "safeRecordedAt", expected, place["safeRecordedAt"])
            read_at = place["readAt"]
            if read_at is not None and read_at > format_time(now):
                self._compare(number, "readAt", "no later than now", read_at)
            for name, bound in BOUNDS.items():
                self._compare(number, name, getattr(state, bound), place[name])
            self._compare(number, "momentBlocks", state.blocks, place["momentBlocks"])
            self._compare(number, "lanes", self.lanes, place["lanes"])
            is_late = bool(place.get("isLate"))
            wrong = first_row(state.rows, place["moments"], is_late=is_late)
            if wrong is not None:
                self._compare(number, *wrong)

    def _compare(self, number: int, name: str, expected: Any, found: Any) -> None:
        if expected != found:
            self.bad.add(number)
            self._report.differ(WHERE, number, name, expected, found)


def first_row(
    expected: list[Moment], packed: bytes, *, is_late: bool
) -> tuple[str, Any, Any] | None:
    """Return the first row of packed moments that differs, as the place of a difference."""
    try:
        found = unpack_moments(packed)
    except struct.error:
        return "moments", f"{len(expected)} rows", f"{len(packed)} bytes"
    for place in range(max(len(expected), len(found))):
        wanted = expected[place] if place < len(expected) else None
        has = found[place] if place < len(found) else None
        if _shown(wanted, is_late=is_late) != _shown(has, is_late=is_late):
            return f"moments[{place}]", _shown(wanted), _shown(has)
    return None


def _shown(row: Moment | None, *, is_late: bool = False) -> tuple[Any, ...] | None:
    if row is None or is_late:
        return None if row is None else (row.position, row.recorded_ms)
    bounds = (row.customers, row.products, row.oldest_ms, row.newest_ms)
    return (row.position, row.recorded_ms, *bounds)
