"""GET /product-sold: sales, newest first. An index finds those of a product, orders all others.

Next: query_service/http/entity_history.py
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from storelog.documents.forms import body_of
from storelog.envelope import milliseconds
from storelog.query_service.http.parameters import (
    COUNT,
    CUSTOMER,
    MAX_LIMIT,
    ORDER,
    PAGE,
    PRODUCT,
    RANGE,
    Parameters,
    Range,
)
from storelog.query_service.http.responses import (
    Document,
    moment_filter,
    respond_with_page,
    span_filter,
)
from storelog.query_service.http.route_parts import FLAG, many, page_schema
from storelog.query_service.paging.by_time import ByTime, walk
from storelog.query_service.paging.keyset import PageKey, Walk, read_cursor
from storelog.query_service.paging.page import Page, count, first_page
from storelog.query_service.positions.freshness import open_view, patience
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.query_service.positions.view import View
from storelog.read_models.orders.finding import ITS_PRODUCT, ORDERS, find_orders
from storelog.read_models.orders.milestones import milestones
from storelog.read_models.product_sold.model import COLLECTION
from storelog.read_side import IDS_AT_ONCE
from storelog.shop import events
from storelog.shop.json_schema import response_schema
from storelog.shop.product import ProductSold
from storelog.shop.value_schemas import strict_object
from storelog.web.http import Request, Response, Route

# How many lines an order is assumed to have when a page decides how many orders to read first.
LINES_GUESSED = 8
# How many sales of an order are read at a time, since a page may need few of thousands of lines.
AT_ONCE = 3 * IDS_AT_ONCE
SALES = ByTime(
    COLLECTION, "soldAt", ("orderId", "_id"), "cancelled", None, MAX_LIMIT + 1, milestones, len
)
SCHEMAS: dict[str, Any] = {
    "Sale": strict_object(**response_schema(ProductSold)["properties"], cancelled=FLAG),
    "Sales": page_schema("Sale"),
}


def sale_body(found: Document) -> Document:
    """Return a sale's body."""
    return {**body_of(ProductSold, found), "cancelled": found.get("cancelled", False)}


def _key(sale: Document) -> PageKey:
    return [milliseconds(sale["soldAt"]), sale["orderId"], sale["_id"]]


@dataclass(frozen=True, slots=True)
class Search:
    """Which sales are wanted; `match` names a product, a customer, both, or neither."""

    view: View
    match: Mapping[str, Any]
    span: Range
    is_cancelled: bool


async def find_sales(search: Search, after: PageKey | None, limit: int) -> Page:
    """Return sales, newest first: those of one product by index, all others through orders."""
    product = search.match.get(events.PRODUCT.id_name)
    if product is not None and len(search.match) == 1:
        found = _walk(search, SALES, limit + 1)
        if found is None:
            return Page([], None)
        return await first_page(found.documents(after), limit, _key)
    # The order in which the last page ended may have more lines, so the walk begins with it again.
    start = [after[0], after[1] + 1] if after else None
    orders_of = _orders if product is None else _orders_of_both
    async with aclosing(orders_of(search, start, limit)) as orders:
        return await first_page(_sales_in(search.view, orders, after, product), limit, _key)


def _walk(search: Search, by: ByTime, wanted: int) -> Walk | None:
    return walk(search.view, by, search.match, search.span, wanted, is_marked=search.is_cancelled)


async def _orders(search: Search, start: PageKey | None, limit: int) -> AsyncGenerator[Document]:
    """Yield the orders of a customer, or all orders."""
    found = _walk(search, ORDERS, limit // LINES_GUESSED + 1)
    if found is None:
        return
    async with aclosing(found.documents(start)) as orders:
        async for order in orders:
            yield order


async def _orders_of_both(
    search: Search, start: PageKey | None, limit: int
) -> AsyncGenerator[Document]:
    """Yield the orders of a customer that contain the product.

    `find_orders` picks the narrower index: no index has both a customer and a product.
    """
    match = search.match
    both = {"customerId": match["customerId"], ITS_PRODUCT: match["productId"]}
    while True:
        page = await find_orders(
            search.view, both, search.span, start, limit, is_deleted=search.is_cancelled
        )
        for order in page.documents:
            yield order
        if (start := page.next_key) is None:
            return


async def _of_order(search: Search, order_id: int) -> list[Document]:
    """Return one order's sales, at most as many as an order may have lines."""
    view, span = search.view, search.span
    order = (await view.many(ORDERS.collection, [order_id])).get(order_id)
    if order is None or order["deleted"] != search.is_cancelled:
        return []
    sold_at = milliseconds(order["orderDate"])
    if span.start_ms is not None and sold_at < span.start_ms:
        return []
    if span.end_ms is not None and sold_at >= span.end_ms:
        return []
    sales = await view.many(COLLECTION, [item["itemId"] for item in order["orderItems"]])
    match = search.match.items()
    return [
        sale
        for _, sale in sorted(sales.items(), reverse=True)
        if all(sale.get(name) == value for name, value in match) and "productId" in sale
    ]


def _page_of(sales: list[Document], after: PageKey | None, limit: int) -> Page:
    """Return a page of sales that are all in memory, newest first."""
    left = [sale for sale in sales if after is None or _key(sale) < after]
    more = len(left) > limit
    return Page(left[:limit], _key(left[limit - 1]) if more else None)


async def _sales_in(
    view: View, orders: AsyncIterator[Document], after: PageKey | None, product: int | None = None
) -> AsyncGenerator[Document]:
    """Yield the sales of orders, those of one product if it is given."""
    async for order in orders:
        lines = (line for line in order["orderItems"] if product in (None, line["productId"]))
        items = sorted((line["itemId"] for line in lines), reverse=True)
        if after and order["_id"] == after[1]:
            items = [item for item in items if item < after[2]]
        for first in range(0, len(items), AT_ONCE):
            some = items[first : first + AT_ONCE]
            sales = await view.many(COLLECTION, some)
            for item in some:
                # Without productId there is only the mark: the product's lane has not written the
                # sale yet, so it is above the position of this response.
                if item in sales and "productId" in sales[item]:
                    yield sales[item]


def routes(reads: Reads) -> list[Route]:
    """Return the route, its handler around one reader of MongoDB."""

    async def list_sales(request: Request) -> Response:
        """GET /product-sold"""
        parameters = Parameters(request.query)
        ids = {
            kind.id_name: number
            for kind in (events.PRODUCT, events.CUSTOMER, events.ORDER)
            if (number := parameters.number(kind.id_name)) is not None
        }
        span, limit = parameters.range(), parameters.limit()
        is_cancelled, is_counted = bool(parameters.flag("cancelled")), parameters.flag("count")
        parameters.done()
        filters = {"list": "product-sold", "cancelled": is_cancelled, **ids, **span_filter(span)}
        filters |= moment_filter(request)
        after = read_cursor(request.query.get("cursor"), filters, 3)
        order = ids.pop(events.ORDER.id_name, None)
        async with reading_mongodb(patience(request)):
            view = await open_view(reads, request)
            search = Search(view, ids, span, is_cancelled)

            async def find(after: PageKey | None, limit: int) -> Page:
                if order is not None:
                    return _page_of(await _of_order(search, order), after, limit)
                return await find_sales(search, after, limit)

            page = await find(after, limit)
            more = await count(find) if is_counted else {}
        sold = [sale_body(sale) for sale in page.documents]
        return respond_with_page(view, filters, page, sold, **more)

    parameters = {**RANGE, **PAGE, **PRODUCT, **CUSTOMER, **ORDER, "cancelled": FLAG, **COUNT}
    return [many("/product-sold", list_sales, "Sales", parameters)]
