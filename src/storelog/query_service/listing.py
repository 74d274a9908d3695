"""The lists: customers, products, orders and sales, a page at a time.

Next: query_service/lists.py
"""

from collections.abc import Callable

from storelog.query_service import bodies, lists
from storelog.query_service.answers import (
    Document,
    list_answer,
    moment_filter,
    orders_with_names,
    span_filter,
    unknown,
)
from storelog.query_service.freshness import open_view
from storelog.query_service.paging import read_cursor
from storelog.query_service.parameters import Parameters
from storelog.query_service.reads import Reads, answering
from storelog.web.http import Request, Response


class Listing:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def list_customers(self, request: Request) -> Response:
        """GET /customers"""
        return await self._list_by_id(request, "customers", {}, bodies.customer)

    async def list_products(self, request: Request) -> Response:
        """GET /products"""
        parameters = Parameters(request.query)
        in_stock = parameters.flag("inStock")
        parameters.done()
        match = {} if in_stock is None else {"stockStatus": in_stock}
        return await self._list_by_id(request, "products", match, bodies.product)

    async def _list_by_id(
        self,
        request: Request,
        collection: str,
        match: Document,
        body: Callable[[Document], Document],
    ) -> Response:
        parameters = Parameters(request.query)
        limit = parameters.limit()
        parameters.done()
        filters = {"list": collection, **match, **moment_filter(request)}
        after = read_cursor(request.query.get("cursor"), filters, 1)
        async with answering():
            view = await open_view(self._reads, request)
            page = await lists.by_id(view, collection, match, after, limit)
        return list_answer(view, filters, page, [body(found) for found in page.documents])

    async def list_orders(self, request: Request) -> Response:
        """GET /orders"""
        return await self._list_orders(request, None)

    async def list_customer_orders(self, request: Request) -> Response:
        """GET /customers/{customerId}/orders"""
        return await self._list_orders(request, request.ids["customerId"])

    async def _list_orders(self, request: Request, named: int | None) -> Response:
        parameters = Parameters(request.query)
        customer = named or parameters.number("customerId")
        product, span = parameters.number("productId"), parameters.range()
        limit = parameters.limit()
        parameters.done()
        match = {"customerId": customer} if customer else {}
        filters = {"list": "orders", "productId": product, **match, **span_filter(span)}
        filters |= moment_filter(request)
        after = read_cursor(request.query.get("cursor"), filters, 2)
        async with answering():
            view = await open_view(self._reads, request)
            if named is not None and await view.one("customers", named) is None:
                raise unknown("customer", named)
            if product is None:
                page = await lists.orders(view, match, span, after, limit)
            else:
                match = {"productId": product, **match}
                page = await lists.orders_of_product(view, match, span, after, limit)
            items = await orders_with_names(view, page.documents)
        return list_answer(view, filters, page, items)

    async def list_sales(self, request: Request) -> Response:
        """GET /product-sold"""
        parameters = Parameters(request.query)
        ids = {
            name: number
            for name in ("productId", "customerId", "orderId")
            if (number := parameters.number(name)) is not None
        }
        span, limit = parameters.range(), parameters.limit()
        is_cancelled = bool(parameters.flag("cancelled"))
        parameters.done()
        filters = {"list": "product-sold", "cancelled": is_cancelled, **ids, **span_filter(span)}
        filters |= moment_filter(request)
        after = read_cursor(request.query.get("cursor"), filters, 3)
        async with answering():
            view = await open_view(self._reads, request)
            if "orderId" in ids:
                order = ids.pop("orderId")
                sales = await lists.sales_of_order(
                    view, order, ids, span, is_cancelled=is_cancelled
                )
                page = lists.page_of_sales(sales, after, limit)
            else:
                find = lists.sales_of_product if "productId" in ids else lists.sales_of_orders
                page = await find(view, ids, span, after, limit, is_cancelled=is_cancelled)
        return list_answer(view, filters, page, [bodies.sale(sale) for sale in page.documents])
