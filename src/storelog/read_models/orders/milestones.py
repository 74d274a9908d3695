"""Milestones of a walk through time: the times at which the 4th, 32nd, 128th... order was placed.

The documents of a filter may end long before those of the shop, such as the sales of a product that
sold ten times a second until an hour ago. A window that grows by time alone would then contain all
of them, and the embedded server reads a window whole. The number of orders up to a milestone is
known. Milestones only limit windows: where ids do not follow dates, as after some imports, there
are none.
Next: read_models/product_sold/query.py
"""

from contextlib import aclosing

from storelog.envelope import milliseconds
from storelog.query_service.paging.keyset import TimeBounds, Walk
from storelog.query_service.positions.view import View
from storelog.shop.events import ORDER

# Few steps, so a walk that finds nothing ends after few windows. The first are near, since
# everything in a window is read.
STEPS = (4, 32, 128, 1_024, 8_192, 65_536, 1_048_576)
CHUNK = 32


async def milestones(
    view: View, bounds: TimeBounds, at: int, order_id: int | None, *, is_up: bool
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


async def _nearest(view: View, bounds: TimeBounds, *, is_up: bool) -> int | None:
    """Return the id of the order at which the walk starts, None where there is none."""
    walk = Walk(
        view.collection(ORDER.collection), {}, "orderDate", ("_id",), *bounds, 1, CHUNK,
        "deleted", (False, True), fields={"orderDate": 1},
    )  # fmt: skip
    async with aclosing(walk.documents(None, is_up=is_up)) as found:
        first = await anext(found, None)
    return None if first is None else int(first["_id"])
