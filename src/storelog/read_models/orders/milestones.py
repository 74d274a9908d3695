"""Milestones of a walk through time: when the 4th, 32nd, 128th... order ahead was placed.

A filter's documents may end long before the shop's do: a product that was sold ten times a second
until an hour ago. A window that grows by time alone would hold all of them, which the embedded
server reads whole; up to a milestone there are only so many orders. Milestones say nothing but how
far a window goes: where ids do not follow the dates, as after some imports, there are none.
Next: read_models/product_sold/query.py
"""

from contextlib import aclosing

from storelog.envelope import milliseconds
from storelog.query_service.paging.keyset import Bounds, Walk
from storelog.query_service.positions.view import View
from storelog.shop.events import ORDER

# Few, so that what is nowhere takes few windows; near at first, as all that a window has is read.
STEPS = (4, 32, 128, 1_024, 8_192, 65_536, 1_048_576)
CHUNK = 32


async def milestones(
    view: View, bounds: Bounds, at: int, order_id: int | None, *, is_up: bool
) -> list[int]:
    """Return the milestones beyond a time, in milliseconds, the nearest first.

    `order_id`: an order of about that time; without one, the walk's first order of all is looked
    for. `bounds`: the oldest and the newest order of the walk.
    """
    if order_id is None:
        order_id = await _nearest(view, bounds, is_up=is_up)
    if order_id is None:
        return []
    ids = [order_id + (step if is_up else -step) for step in STEPS]
    found = await view.raw(ORDER.collection, [n for n in ids if n > 0], {"orderDate": 1})
    ahead = [milliseconds(found[number]["orderDate"]) for number in ids if number in found]
    if ahead != sorted(ahead, reverse=not is_up):
        return []
    return [time for time in ahead if (time > at if is_up else time < at)]


async def _nearest(view: View, bounds: Bounds, *, is_up: bool) -> int | None:
    """Return the first order of all."""
    walk = Walk(
        view.collection(ORDER.collection), {}, "orderDate", ("_id",), *bounds, 1, CHUNK,
        "deleted", (False, True), fields={"orderDate": 1},
    )  # fmt: skip
    async with aclosing(walk.documents(None, is_up=is_up)) as found:
        first = await anext(found, None)
    return None if first is None else int(first["_id"])
