"""The lists: each finds one page of documents, and the key to go on after.

Orders and sales go from the newest down, orders from the oldest up too. Nothing here reads more
than a page and what its windows overshoot; counting reads pages until it has enough, of orders
without their items.
Next: query_service/paging.py
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from storelog.envelope import milliseconds, to_moment
from storelog.query_service.paging import Key, Walk
from storelog.query_service.parameters import MAX_LIMIT, Range
from storelog.query_service.view import Document, View
from storelog.read_side import IDS_AT_ONCE

MAX_COUNTED = 10_000
COUNT_CHUNK = 500
COUNT_SECONDS = 3.0
# Orders of 2,000 lines have 200 KB each: a page of 500 of them would take the process' memory.
MAX_PAGE_BYTES = 2 * 1_048_576
LINE_BYTES = 90
ORDERS_AT_ONCE = 32
# How an order names the products of its lines.
PRODUCT = "orderItems.productId"
# Sales that are found through their orders are looked for in so many orders at first.
LINES_GUESSED = 8
# Of an order with thousands of lines no more are read than a page needs.
SALES_AT_ONCE = 3 * IDS_AT_ONCE
# Whether an order is there and where it stands: all that counting reads of one.
COUNTED_FIELDS = dict.fromkeys(("orderDate", "deleted", "position", "created", "version"), 1)
# What a walk goes by: the time and what follows it in the index, the mark of what is deleted and
# what all others have in its place, and how many come at once.
_KINDS: dict[str, tuple[str, tuple[str, ...], str, bool | None, int]] = {
    "orders": ("orderDate", ("_id",), "deleted", False, ORDERS_AT_ONCE),
    "product_sold": ("soldAt", ("orderId", "_id"), "cancelled", None, MAX_LIMIT + 1),
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and the key after which the next begins; None at the end."""

    documents: list[Document]
    next_key: Key | None


async def count(find: Callable[[Key | None, int], Awaitable[Page]]) -> dict[str, Any]:
    """Return how many items the pages have: at most MAX_COUNTED, in at most COUNT_SECONDS.

    Not exact is: at least so many.
    """
    give_up_at = asyncio.get_running_loop().time() + COUNT_SECONDS
    counted, after = 0, None
    while counted < MAX_COUNTED and asyncio.get_running_loop().time() < give_up_at:
        page = await find(after, COUNT_CHUNK)
        counted, after = counted + len(page.documents), page.next_key
        if after is None:
            break
    # The last page may go beyond.
    is_exact = after is None and counted <= MAX_COUNTED
    return {"count": min(counted, MAX_COUNTED), "countIsExact": is_exact}


async def orders(
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
        marks = {"is_marked": is_deleted, "is_counting": is_counting}
        walk = _walk(view, "orders", one, span, limit + 1, also=others, **marks)
        if walk is None:
            return Page([], None)
        found = walk.documents(after, is_up=is_up)
        page = await _page(found, limit, lambda d: [milliseconds(d["orderDate"]), d["_id"]], _size)
        were = page.documents if is_counting else await view.as_were("orders", page.documents)
        return Page(were, page.next_key)

    if len(match) < 2:
        return await find(match)
    return await _first_of([find({name: value}) for name, value in match.items()])


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


async def sales_of_product(
    view: View,
    match: Mapping[str, Any],
    span: Range,
    after: Key | None,
    limit: int,
    *,
    is_cancelled: bool,
) -> Page:
    """Return a product's sales, newest first."""
    walk = _walk(view, "product_sold", match, span, limit + 1, is_marked=is_cancelled)
    if walk is None:
        return Page([], None)
    return await _page(walk.documents(after), limit, _sale_key)


async def sales_of_orders(
    view: View,
    match: Mapping[str, Any],
    span: Range,
    after: Key | None,
    limit: int,
    *,
    is_cancelled: bool,
) -> Page:
    """Return sales, newest first; found through their orders, whose items name them."""
    wanted = limit // LINES_GUESSED + 1
    walk = _walk(view, "orders", match, span, wanted, is_marked=is_cancelled)
    if walk is None:
        return Page([], None)
    # The order that the last page ended in may have more lines: begin with it again.
    start = [after[0], after[1] + 1] if after else None
    async with aclosing(walk.documents(start)) as documents:
        return await _page(_sales_in(view, documents, after), limit, _sale_key)


async def sales_of_both(
    view: View,
    match: Mapping[str, Any],
    span: Range,
    after: Key | None,
    limit: int,
    *,
    is_cancelled: bool,
) -> Page:
    """Return the sales of a product to a customer, newest first, by the orders that have both.

    The embedded server reads the whole collection for two equalities that no index has together.
    """
    product = match["productId"]
    both = {"customerId": match["customerId"], PRODUCT: product}

    async def found(start: Key | None) -> AsyncGenerator[Document]:
        while True:
            page = await orders(view, both, span, start, limit, is_deleted=is_cancelled)
            for order in page.documents:
                yield order
            if (start := page.next_key) is None:
                return

    start = [after[0], after[1] + 1] if after else None
    async with aclosing(found(start)) as documents:
        return await _page(_sales_in(view, documents, after, product), limit, _sale_key)


async def sales_of_order(
    view: View, order_id: int, match: Mapping[str, Any], span: Range, *, is_cancelled: bool
) -> list[Document]:
    """Return one order's sales, at most as many as an order may have lines."""
    order = (await view.many("orders", [order_id])).get(order_id)
    if order is None or order["deleted"] != is_cancelled:
        return []
    sold_at = milliseconds(order["orderDate"])
    if span.start_ms is not None and sold_at < span.start_ms:
        return []
    if span.end_ms is not None and sold_at >= span.end_ms:
        return []
    sales = await view.many("product_sold", [item["itemId"] for item in order["orderItems"]])
    return [
        sale
        for _, sale in sorted(sales.items(), reverse=True)
        if all(sale.get(name) == value for name, value in match.items()) and "productId" in sale
    ]


def page_of_sales(sales: list[Document], after: Key | None, limit: int) -> Page:
    """Return a page of sales that are all in memory, newest first."""
    left = [sale for sale in sales if after is None or _sale_key(sale) < after]
    more = len(left) > limit
    return Page(left[:limit], _sale_key(left[limit - 1]) if more else None)


async def _sales_in(
    view: View, orders: AsyncIterator[Document], after: Key | None, product: int | None = None
) -> AsyncGenerator[Document]:
    """Yield the sales of orders, those of one product if it is given."""
    async for order in orders:
        lines = (line for line in order["orderItems"] if product in (None, line["productId"]))
        items = sorted((line["itemId"] for line in lines), reverse=True)
        if after and order["_id"] == after[1]:
            items = [item for item in items if item < after[2]]
        for first in range(0, len(items), SALES_AT_ONCE):
            some = items[first : first + SALES_AT_ONCE]
            sales = await view.many("product_sold", some)
            for item in some:
                # A sale that its product's lane has not written yet is above the answer's position.
                if item in sales and "productId" in sales[item]:
                    yield sales[item]


async def _page(
    documents: AsyncGenerator[Document],
    limit: int,
    key: Callable[[Document], Key],
    size_of: Callable[[Document], int] = lambda _: 0,
) -> Page:
    """Return the first `limit`, or fewer that have MAX_PAGE_BYTES, and end the reading."""
    found: list[Document] = []
    size = 0
    async with aclosing(documents):
        async for document in documents:
            if len(found) == limit or size >= MAX_PAGE_BYTES:
                return Page(found, key(found[-1]))
            found.append(document)
            size += size_of(document)
    return Page(found, None)


def _size(order: Document) -> int:
    """Return about how many bytes an order's body has."""
    return sum(LINE_BYTES + len(item["productName"]) for item in order.get("orderItems", ()))


def _sale_key(sale: Document) -> Key:
    return [milliseconds(sale["soldAt"]), sale["orderId"], sale["_id"]]


def _walk(
    view: View,
    collection: str,
    match: Mapping[str, Any],
    span: Range,
    wanted: int,
    *,
    also: Mapping[str, Any] | None = None,
    is_marked: bool = False,
    is_counting: bool = False,
) -> Walk | None:
    """Return a walk over orders or sales in the range, or None where there can be none.

    `also`: what is looked for in each order here. `is_marked`: over those that are deleted or
    cancelled, instead of the others.
    """
    if view.place.oldest_order is None or view.place.newest_order is None:
        return None
    oldest, newest = milliseconds(view.place.oldest_order), milliseconds(view.place.newest_order)
    if span.start_ms is not None:
        oldest = max(oldest, span.start_ms)
    if span.end_ms is not None:
        newest = min(newest, span.end_ms - 1)
    if oldest > newest:
        return None
    time, ties, mark, others, at_once = _KINDS[collection]

    def keep(found: Document) -> Document | None:
        was = view.as_was(collection, found)
        if not was or bool(was.get(mark)) != is_marked:
            return None
        return was if all(_has(was, name, value) for name, value in (also or {}).items()) else None

    # What was deleted then is deleted now; what was not may have been deleted since.
    marked: tuple[bool | None, ...] = (True,)
    if not is_marked:
        marked = (others, True) if view.is_past else (others,)
    chunk = wanted if is_counting else min(wanted, at_once)
    fields = {**COUNTED_FIELDS, **dict.fromkeys(also or (), 1)} if is_counting else None
    found = view.collection(collection)
    bounds = (to_moment(oldest), to_moment(newest))
    return Walk(found, match, time, ties, *bounds, wanted, chunk, mark, marked, keep, fields)


def _has(order: Document, name: str, value: Any) -> bool:
    if name == PRODUCT:
        return any(item["productId"] == value for item in order["orderItems"])
    return bool(order[name] == value)
