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
from storelog.query_service.paging.keyset import PageKey
from storelog.query_service.paging.page import Page, first_page
from storelog.query_service.positions.view import View
from storelog.read_models.orders.milestones import milestones
from storelog.shop.events import ORDER

# About how many bytes a line's body has beside the product's name.
LINE_BYTES = 90
AT_ONCE = 32
# How an order names the products of its lines.
ITS_PRODUCT = "orderItems.productId"
# The fields that tell whether an order exists and its place in the list: counting reads no others.
COUNTED_FIELDS = dict.fromkeys(("orderDate", "deleted", "position", "created", "version"), 1)


def _size(order: Document) -> int:
    """Return about how many bytes an order's body has."""
    return sum(LINE_BYTES + len(item["productName"]) for item in order.get("orderItems", ()))


ORDERS = ByTime(
    ORDER.collection, "orderDate", ("_id",), "deleted", False, AT_ONCE, milestones, _size
)


async def find_orders(
    view: View,
    match: Mapping[str, Any],
    span: Range,
    after: PageKey | None,
    limit: int,
    *,
    is_up: bool = False,
    is_deleted: bool = False,
    is_counting: bool = False,
) -> Page:
    """Return orders, newest or oldest first; `match` names a customer, a product, or both.

    `is_deleted`: deleted orders instead of the others. `is_counting`: without their items.
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


def _key(order: Document) -> PageKey:
    return [milliseconds(order["orderDate"]), order["_id"]]


async def _first_of(finds: list[Coroutine[Any, Any, Page]]) -> Page:
    """Return the page that is found first, and cancel the other search.

    No index has both a customer and a product, and the embedded server reads the whole collection
    for such a filter. So each index is walked with the other value as a check. Which one is the
    narrower is not known before.
    """
    tasks = [asyncio.create_task(find) for find in finds]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
