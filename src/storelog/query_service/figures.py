"""The figures as they are answered. Next: query_service/analytics.py"""

from collections.abc import Awaitable, Callable

from storelog.domain.money import exact_sum, format_money
from storelog.query_service import analytics
from storelog.query_service.analytics import Figure, Figures
from storelog.query_service.answers import Document, answer, names_of
from storelog.query_service.freshness import open_view
from storelog.query_service.parameters import Parameters, Range
from storelog.query_service.reads import Reads, answering
from storelog.query_service.view import View
from storelog.web.http import Request, Response

Read = Callable[[View, Range], Awaitable[Figures]]
Body = Callable[[int, str | None, Figure], Document]


class FiguresApi:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def total_sales(self, request: Request) -> Response:
        """GET /analytics/total-sales"""
        view, figures = await self._figures(request, analytics.shop)
        days = [figure for _, figure in figures.sold()]
        body = {
            "totalSales": format_money(exact_sum(day.sales for day in days)),
            "unitsSold": sum(day.units for day in days),
            "orders": sum(day.orders for day in days),
        }
        return answer(view, body)

    async def sales_by_day(self, request: Request) -> Response:
        """GET /analytics/sales-by-day"""
        view, figures = await self._figures(request, analytics.shop)
        items = [
            {
                "day": day,
                "totalSales": format_money(figure.sales),
                "unitsSold": figure.units,
                "orders": figure.orders,
            }
            for day, figure in sorted(figures.sold())
        ]
        return answer(view, {"items": items})

    async def product_totals(self, request: Request) -> Response:
        """GET /analytics/product-totals"""
        return await self._top(request, analytics.by_product, "products", _product_total)

    async def top_customers(self, request: Request) -> Response:
        """GET /analytics/top-customers"""
        return await self._top(request, analytics.by_customer, "customers", _top_customer)

    async def _top(self, request: Request, read: Read, collection: str, body: Body) -> Response:
        view, figures = await self._figures(request, read)
        top = _highest(figures, Parameters(request.query).limit())
        async with answering():
            names = await names_of(view, collection, (number for number, _ in top))
        items = [body(number, names.get(number), figure) for number, figure in top]
        return answer(view, {"items": items})

    async def _figures(self, request: Request, read: Read) -> tuple[View, Figures]:
        parameters = Parameters(request.query)
        span = parameters.range()
        parameters.limit()
        parameters.done()
        async with answering():
            view = await open_view(self._reads, request)
            return view, await read(view, span)


def _product_total(number: int, name: str | None, figure: Figure) -> Document:
    return {
        "productId": number,
        "productName": name,
        "unitsSold": figure.units,
        "totalSales": format_money(figure.sales),
    }


def _top_customer(number: int, name: str | None, figure: Figure) -> Document:
    return {
        "customerId": number,
        "name": name,
        "orders": figure.orders,
        "totalSpent": format_money(figure.sales),
    }


def _highest(figures: Figures, limit: int) -> list[tuple[int, Figure]]:
    numbered = [(int(entry), figure) for entry, figure in figures.sold()]
    return sorted(numbered, key=lambda pair: (-pair[1].sales, pair[0]))[:limit]
