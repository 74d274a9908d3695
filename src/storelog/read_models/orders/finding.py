"""Finds the orders of a list: by time, of a customer, of a product, or of both.

Next: read_models/orders/milestones.py
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from storelog.envelope import milliseconds
from storelog.query_service.http.parameters import Range
from storelog.query_service.http.responses import Document
from storelog.query_service.paging.by_time import ByTime, walk
from storelog.query_service.paging.keyset import Key
from storelog.query_service.paging.page import Page, first_page
from storelog.query_service.positions.view import View
from storelog.read_models.orders.milestones import milestones
from storelog.shop.events import ORDER

LINE_BYTES = 90
AT_ONCE = 32
# How an order names the products of its lines.
ITS_PRODUCT = "orderItems.productId"
# Whether an order is there and where it stands: all that counting reads of one.
COUNTED_FIELDS = dict.fromkeys(("orderDate", "deleted", "position", "created", "version"), 1)
ORDERS = ByTime(ORDER.collection, "orderDate", ("_id",), "deleted", False, AT_ONCE, milestones)


async def find_orders(
    view: View,
    match: Mapping[str, Any],
    span: Range,
    after: Key | None,
    limit: int,
    *,
    is_up: bool = False,
    is_deleted: bool = False,
    is_counting: bool = False,
) -> Page:
    """Return orders, newest first or oldest first; `match` is on a customer, a product, or both.

    `is_deleted`: deleted ones in place of the others. `is_counting`: without their items.
    """

    async def find(one: Mapping[str, Any]) -> Page:
        others = {name: value for name, value in match.items() if name not in one}
        fields = {**COUNTED_FIELDS, **dict.fromkeys(others, 1)} if is_counting else None

        def has(order: Document) -> bool:
            return all(_has(order, name, value) for name, value in others.items())

        found = walk(
            view, ORDERS, one, span, limit + 1, is_marked=is_deleted, has=has, fields=fields
        )
        if found is None:
            return Page([], None)
        page = await first_page(found.documents(after, is_up=is_up), limit, _key, _size)
        if is_counting:
            return page
        return Page(await view.as_were(ORDERS.collection, page.documents), page.next_key)

    if len(match) < 2:
        return await find(match)
    return await _first_of([find({name: value}) for name, value in match.items()])


def _has(order: Document, name: str, value: Any) -> bool:
    if name == ITS_PRODUCT:
        return any(item["productId"] == value for item in order["orderItems"])
    return bool(order[name] == value)


def _key(order: Document) -> Key:
    return [milliseconds(order["orderDate"]), order["_id"]]


def _size(order: Document) -> int:
    """Return about how many bytes an order's body has."""
    return sum(LINE_BYTES + len(item["productName"]) for item in order.get("orderItems", ()))


async def _first_of(finds: list[Coroutine[Any, Any, Page]]) -> Page:
    """Return the page that is found first: which index is the narrow one nobody knows before.

    The embedded server reads the whole collection for two equalities that no index has together.
    """
    tasks = [asyncio.create_task(find) for find in finds]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
