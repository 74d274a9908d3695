"""The Query Service's endpoints: parameters in, documents read, bodies out.

Every answer names the position that it holds: it is read before the documents are.
Next: query_service/lists.py
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

from storelog.domain.money import exact_sum, format_money
from storelog.errors import NotFound
from storelog.event_codec import encode_json
from storelog.query_service import analytics, bodies, lists
from storelog.query_service.analytics import Figures
from storelog.query_service.lists import Page
from storelog.query_service.paging import make_cursor, read_cursor
from storelog.query_service.parameters import Parameters, Range
from storelog.query_service.reads import Document, Place, Reads, answering
from storelog.web.http import Request, Response


class QueryApi:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def get_customer(self, request: Request) -> Response:
        """GET /customers/{customerId}"""
        return await self._get_versioned(request, "customer", "customers", bodies.customer)

    async def get_product(self, request: Request) -> Response:
        """GET /products/{productId}"""
        return await self._get_versioned(request, "product", "products", bodies.product)

    async def _get_versioned(
        self, request: Request, kind: str, collection: str, body: Callable[[Document], Document]
    ) -> Response:
        number = request.ids[f"{kind}Id"]
        async with answering():
            place = await self._reads.place()
            found = await self._reads.one(collection, number)
        if found is None:
            raise _unknown(kind, number)
        return _answer(place, body(found), f'"{found["version"]}"')

    async def get_order(self, request: Request) -> Response:
        """GET /orders/{orderId}"""
        number = request.ids["orderId"]
        async with answering():
            place = await self._reads.place()
            found = await self._reads.one("orders", number)
            named = await self._with_names([found]) if found else []
        if not named:
            raise _unknown("order", number)
        raw = encode_json(named[0])
        etag = ("ETag", f'"{sha256(raw).hexdigest()[:32]}"')
        return Response(200, raw, (etag, *place.headers()))

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
        filters = {"list": collection, **match}
        after = read_cursor(request.query.get("cursor"), filters, 1)
        async with answering():
            place = await self._reads.place()
            highest = place.highest_customer if collection == "customers" else place.highest_product
            page = await lists.by_id(self._reads, collection, highest, match, after, limit)
        return _list(place, filters, page, [body(found) for found in page.documents])

    async def list_orders(self, request: Request) -> Response:
        """GET /orders"""
        return await self._list_orders(request, None)

    async def list_customer_orders(self, request: Request) -> Response:
        """GET /customers/{customerId}/orders"""
        return await self._list_orders(request, request.ids["customerId"])

    async def _list_orders(self, request: Request, customer: int | None) -> Response:
        parameters = Parameters(request.query)
        customer = customer or parameters.number("customerId")
        product, span, limit = (
            parameters.number("productId"),
            parameters.range(),
            parameters.limit(),
        )
        parameters.done()
        match = {"customerId": customer} if customer else {}
        filters = {"list": "orders", "productId": product, **match, **_span(span)}
        after = read_cursor(request.query.get("cursor"), filters, 2)
        async with answering():
            place = await self._reads.place()
            named = request.ids.get("customerId")
            if named is not None and await self._reads.one("customers", named) is None:
                raise _unknown("customer", named)
            if product is None:
                page = await lists.orders(self._reads, place, match, span, after, limit)
            else:
                match = {"productId": product, **match}
                page = await lists.orders_of_product(self._reads, place, match, span, after, limit)
            items = await self._with_names(page.documents)
        return _list(place, filters, page, items)

    async def _with_names(self, orders: Sequence[Document]) -> list[Document]:
        names = await self._names("customers", (order["customerId"] for order in orders))
        return [bodies.order(order, names.get(order["customerId"])) for order in orders]

    async def _names(self, collection: str, ids: Iterable[int]) -> dict[int, str]:
        found = await self._reads.many(collection, ids, {"name": 1})
        return {number: document["name"] for number, document in found.items()}

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
        filters = {"list": "product-sold", "cancelled": is_cancelled, **ids, **_span(span)}
        after = read_cursor(request.query.get("cursor"), filters, 3)
        async with answering():
            place = await self._reads.place()
            if "orderId" in ids:
                order = ids.pop("orderId")
                sales = await lists.sales_of_order(
                    self._reads, order, ids, span, is_cancelled=is_cancelled
                )
                page = lists.page_of_sales(sales, after, limit)
            else:
                find = lists.sales_of_product if "productId" in ids else lists.sales_of_orders
                page = await find(
                    self._reads, place, ids, span, after, limit, is_cancelled=is_cancelled
                )
        return _list(place, filters, page, [bodies.sale(sale) for sale in page.documents])

    async def total_sales(self, request: Request) -> Response:
        """GET /analytics/total-sales"""
        place, figures, _ = await self._figures(request, analytics.shop)
        days = [figure for _, figure in figures.sold()]
        return _answer(
            place,
            {
                "totalSales": format_money(exact_sum(day.sales for day in days)),
                "unitsSold": sum(day.units for day in days),
                "orders": sum(day.orders for day in days),
            },
        )

    async def sales_by_day(self, request: Request) -> Response:
        """GET /analytics/sales-by-day"""
        place, figures, _ = await self._figures(request, analytics.shop)
        items = [
            {
                "day": day,
                "totalSales": format_money(figure.sales),
                "unitsSold": figure.units,
                "orders": figure.orders,
            }
            for day, figure in sorted(figures.sold())
        ]
        return _answer(place, {"items": items})

    async def product_totals(self, request: Request) -> Response:
        """GET /analytics/product-totals"""
        return await self._top(
            request,
            analytics.by_product,
            "products",
            lambda number, name, figure: {
                "productId": number,
                "productName": name,
                "unitsSold": figure.units,
                "totalSales": format_money(figure.sales),
            },
        )

    async def top_customers(self, request: Request) -> Response:
        """GET /analytics/top-customers"""
        return await self._top(
            request,
            analytics.by_customer,
            "customers",
            lambda number, name, figure: {
                "customerId": number,
                "name": name,
                "orders": figure.orders,
                "totalSpent": format_money(figure.sales),
            },
        )

    async def _top(
        self,
        request: Request,
        read: Any,
        collection: str,
        body: Callable[[int, str | None, analytics.Figure], Document],
    ) -> Response:
        place, figures, limit = await self._figures(request, read)
        top = _highest(figures, limit)
        async with answering():
            names = await self._names(collection, (number for number, _ in top))
        items = [body(number, names.get(number), figure) for number, figure in top]
        return _answer(place, {"items": items})

    async def _figures(self, request: Request, read: Any) -> tuple[Place, Figures, int]:
        parameters = Parameters(request.query)
        span, limit = parameters.range(), parameters.limit()
        parameters.done()
        async with answering():
            place = await self._reads.place()
            return place, await read(self._reads, place, span), limit


def _highest(figures: Figures, limit: int) -> list[tuple[int, analytics.Figure]]:
    numbered = [(int(entry), figure) for entry, figure in figures.sold()]
    return sorted(numbered, key=lambda pair: (-pair[1].sales, pair[0]))[:limit]


def _span(span: Range) -> Document:
    return {"from": span.start, "to": span.end}


def _unknown(kind: str, number: int) -> NotFound:
    return NotFound(f"There is no {kind} {number}.")


def _answer(place: Place, body: Document, etag: str | None = None) -> Response:
    headers = place.headers()
    if etag is not None:
        headers = (("ETag", etag), *headers)
    return Response(200, encode_json(body), headers)


def _list(place: Place, filters: Document, page: Page, items: list[Document]) -> Response:
    cursor = None if page.next_key is None else make_cursor(filters, page.next_key)
    return _answer(place, {"items": items, "nextCursor": cursor})
