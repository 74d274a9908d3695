"""The lists: customers, products, orders and sales, a page at a time.

Next: query_service/lists.py
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from storelog.query_service import bodies, lists, things
from storelog.query_service.answers import (
    Document,
    list_answer,
    moment_filter,
    orders_with_names,
    span_filter,
    unknown,
)
from storelog.query_service.freshness import open_view
from storelog.query_service.lists import Page
from storelog.query_service.paging import Key, read_cursor
from storelog.query_service.parameters import Parameters
from storelog.query_service.reads import Reads, answering
from storelog.query_service.things import Wanted
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.web.http import Request, Response


class Listing:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def list_customers(self, request: Request) -> Response:
        """GET /customers"""
        return await self._list_by_id(request, CUSTOMER, {}, bodies.customer)

    async def list_products(self, request: Request) -> Response:
        """GET /products"""
        parameters = Parameters(request.query)
        in_stock = parameters.flag("inStock")
        parameters.done()
        match = {} if in_stock is None else {"stockStatus": in_stock}
        return await self._list_by_id(request, PRODUCT, match, bodies.product)

    async def _list_by_id(
        self,
        request: Request,
        entity: EntityKind,
        match: Document,
        body: Callable[[Document], Document],
    ) -> Response:
        parameters = Parameters(request.query)
        limit, is_counted = parameters.limit(), parameters.flag("count")
        words, sort = parameters.words(), parameters.sort("id", "-id")
        exact = parameters.unique(entity.structure)
        parameters.done()
        filters = {"list": entity.collection, "q": " ".join(map("-".join, words)), "sort": sort}
        filters |= {**match, **exact, **moment_filter(request)}
        after = read_cursor(request.query.get("cursor"), filters, 1)
        wanted = Wanted(entity, match, words, exact, sort == "-id")
        async with answering():
            view = await open_view(self._reads, request)

            async def find(after: Key | None, limit: int) -> Page:
                return await things.page(view, replace(wanted, is_counting=True), after, limit)

            page = await things.page(view, wanted, after, limit)
            more = await lists.count(find) if is_counted else {}
        items = [body(found) for found in page.documents]
        return list_answer(view, filters, page, items, **more)

    async def list_orders(self, request: Request) -> Response:
        """GET /orders"""
        return await self._list_orders(request, None)

    async def list_customer_orders(self, request: Request) -> Response:
        """GET /customers/{customerId}/orders"""
        return await self._list_orders(request, request.ids[CUSTOMER.id_name])

    async def _list_orders(self, request: Request, named: int | None) -> Response:
        parameters = Parameters(request.query)
        customer = named or parameters.number(CUSTOMER.id_name)
        product, span = parameters.number(PRODUCT.id_name), parameters.range()
        limit, is_counted = parameters.limit(), parameters.flag("count")
        keys = ("-orderDate",) if product else ("-orderDate", "orderDate")
        sort = parameters.sort(*keys)
        parameters.done()
        match = {CUSTOMER.id_name: customer} if customer else {}
        filters = {"list": ORDER.collection, PRODUCT.id_name: product, "sort": sort, **match}
        filters |= span_filter(span)
        filters |= moment_filter(request)
        after = read_cursor(request.query.get("cursor"), filters, 2)
        async with answering():
            view = await open_view(self._reads, request)
            if named is not None and await view.one(CUSTOMER.collection, named) is None:
                raise unknown(CUSTOMER, named)

            if product is not None:
                match = {lists.PRODUCT: product, **match}
            find = partial(lists.orders, view, match, span, is_up=sort == "orderDate")
            page = await find(after, limit)
            more = await lists.count(partial(find, is_counting=True)) if is_counted else {}
            items = await orders_with_names(view, page.documents)
        return list_answer(view, filters, page, items, **more)

    async def list_sales(self, request: Request) -> Response:
        """GET /product-sold"""
        parameters = Parameters(request.query)
        ids = {
            kind.id_name: number
            for kind in (PRODUCT, CUSTOMER, ORDER)
            if (number := parameters.number(kind.id_name)) is not None
        }
        span, limit = parameters.range(), parameters.limit()
        is_cancelled, is_counted = bool(parameters.flag("cancelled")), parameters.flag("count")
        parameters.done()
        filters = {"list": "product-sold", "cancelled": is_cancelled, **ids, **span_filter(span)}
        filters |= moment_filter(request)
        after = read_cursor(request.query.get("cursor"), filters, 3)
        order = ids.pop(ORDER.id_name, None)
        async with answering():
            view = await open_view(self._reads, request)

            async def find(after: Key | None, limit: int) -> Page:
                if order is not None:
                    sales = await lists.sales_of_order(
                        view, order, ids, span, is_cancelled=is_cancelled
                    )
                    return lists.page_of_sales(sales, after, limit)
                search = lists.sales_of_product if PRODUCT.id_name in ids else lists.sales_of_orders
                if len(ids) > 1:
                    search = lists.sales_of_both
                return await search(view, ids, span, after, limit, is_cancelled=is_cancelled)

            page = await find(after, limit)
            more = await lists.count(find) if is_counted else {}
        sold = [bodies.sale(sale) for sale in page.documents]
        return list_answer(view, filters, page, sold, **more)
