"""`?asOf=`: a position, or a time, which means the last position recorded at or before it.

Guarantees that the same `asOf` always means the same position: a read as of a time waits until the
read model has everything that was recorded up to that time.
Next: query_service/past/documents.py
"""

import asyncio
import re
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from storelog.documents.moments import COLLECTION, Moment, unpack_moments
from storelog.envelope import format_time, parse_day_or_time, to_moment
from storelog.errors import InvalidFields, NotCaughtUp
from storelog.query_service.past.documents import PastView
from storelog.query_service.positions.place import Place, Trail
from storelog.query_service.positions.reads import Reads
from storelog.query_service.positions.view import View

MAX_KEPT_BLOCKS = 512
MomentKey = Callable[[Moment], int]
AS_OF = {
    "asOf": {
        "description": "Show the shop as it was at this position or time, such as 42, 2026-01-31 or"
        " 2026-01-31T12:00:00Z. A time is cut off to milliseconds.",
        "anyOf": [
            {"type": "string", "pattern": "^[0-9]{1,19}$"},
            {"type": "string", "format": "date"},
            {"type": "string", "format": "date-time"},
        ],
    }
}
# Blocks never change, so all requests of the process share those that were read.
_kept: OrderedDict[tuple[str, int, int, int], list[Moment]] = OrderedDict()


async def view_as_of(reads: Reads, view: View, given: str, seconds: float) -> View:
    """Return the view as of the given position or time.

    Raises InvalidFields, NotCaughtUp, Unavailable, PyMongoError.
    """
    if re.fullmatch(r"\d{1,19}", given, re.ASCII):
        return await _as_of_position(reads, view, int(given), seconds)
    return await _as_of_time(reads, view, _read_time(given), seconds)


def _read_time(given: str) -> int:
    try:
        return parse_day_or_time(given)
    except ValueError:
        raise _wrong("must be a position or a time such as 2026-01-31T12:00:00Z") from None


def _wrong(detail: str) -> InvalidFields:
    return InvalidFields([("?asOf", detail)])


async def _as_of_position(reads: Reads, view: View, position: int, seconds: float) -> View:
    if position < 1:
        raise _wrong("the log begins at position 1")
    if position > view.position:
        # It may be the position of a command that was accepted just now.
        if position < 2**63:
            view = await reads.reached(lambda place: place.position >= position, seconds)
        if position > view.position:
            raise _wrong(f"is beyond position {view.position}, the newest in the read model")
    trails = view.place.trails
    rows = await asyncio.gather(*(_row_at(view, trail, position) for trail in trails))
    return _past(view, position, rows, are_upper=True)


async def _as_of_time(reads: Reads, view: View, at_ms: int, seconds: float) -> View:
    def is_settled(place: Place) -> bool:
        return place.settled_ms is not None and place.settled_ms >= at_ms

    # The future is told by PostgreSQL's clock, whose times are in the log. Until that clock is
    # known, the read waits instead of rejecting a time that may be in the past.
    if not is_settled(view.place) and not (reads.clock.is_known and reads.clock.is_future(at_ms)):
        view = await reads.reached(is_settled, seconds)
    if not is_settled(view.place):
        if reads.clock.is_future(at_ms):
            raise _wrong("is in the future")
        raise NotCaughtUp(format_time(to_moment(at_ms)), view.position)
    trails = view.place.trails
    rows = await asyncio.gather(*(_row_before(view, trail, at_ms) for trail in trails))
    position = max((row.position for row in rows if row is not None), default=0)
    if position == 0:
        raise _wrong("is before the first event was recorded")
    return _past(view, position, rows, are_upper=False)


def _past(view: View, position: int, rows: list[Moment | None], *, are_upper: bool) -> View:
    """Return the view of the position, with the bounds of each lane's moment.

    `are_upper`: the moments are at or after the position, so a missing one means the present.
    """
    place = replace(view.place, position=position)
    is_present = place.is_late or (are_upper and None in rows)
    if not is_present:
        known = [row for row in rows if row is not None]
        oldest = [row.oldest_ms for row in known if row.oldest_ms is not None]
        newest = [row.newest_ms for row in known if row.newest_ms is not None]
        place = replace(
            place,
            highest_customer=max((row.customers for row in known), default=0),
            highest_product=max((row.products for row in known), default=0),
            oldest_order=to_moment(min(oldest)) if oldest else None,
            newest_order=to_moment(max(newest)) if newest else None,
        )
    return PastView(view.database, place)


async def _row_at(view: View, trail: Trail, position: int) -> Moment | None:
    """Return the first moment at or after a position, None when that is the present."""
    block, rows = await _rows(view, trail, position, lambda row: row.position)
    place = bisect_left(rows, position, key=lambda row: row.position)
    if place < len(rows):
        return rows[place]
    if block == trail.blocks:
        return None
    # The whole block lies before the position, and the next one begins after it.
    return (await _block(view, trail, block + 1))[0]


async def _row_before(view: View, trail: Trail, at_ms: int) -> Moment | None:
    """Return the last moment at or before a time, None when there is none."""
    _, rows = await _rows(view, trail, at_ms, lambda row: row.recorded_ms)
    place = bisect_right(rows, at_ms, key=lambda row: row.recorded_ms)
    return rows[place - 1] if place > 0 else None


async def _rows(view: View, trail: Trail, value: int, key: MomentKey) -> tuple[int, list[Moment]]:
    """Return the number and rows of the last block that begins at or before the value.

    Without such a block it is the first one.
    """
    low, high = 0, trail.blocks
    if trail.blocks and key((await _block(view, trail, high))[0]) <= value:
        low = high
    while low < high:
        middle = (low + high + 1) // 2
        if key((await _block(view, trail, middle))[0]) <= value:
            low = middle
        else:
            high = middle - 1
    return low, await _block(view, trail, low)


async def _block(view: View, trail: Trail, number: int) -> list[Moment]:
    if number == trail.blocks:
        return unpack_moments(trail.rows)
    name = (view.database.name, view.place.repaired, trail.lane, number)
    rows = _kept.get(name)
    if rows is None:
        label = f"{trail.lane}/{number}"
        rows = unpack_moments((await view.raw(COLLECTION, [label]))[label]["rows"])
        _kept[name] = rows
        while len(_kept) > MAX_KEPT_BLOCKS:
            _kept.popitem(last=False)
    return rows
