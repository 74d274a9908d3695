"""The endpoints of the totals. Next: query_service/totals/ledger_sums.py"""

from collections.abc import Callable
from datetime import date

from storelog.documents.ledgers import Sums, to_decimal
from storelog.query_service.http.parameters import Parameters
from storelog.query_service.http.responses import Document, respond
from storelog.query_service.positions.freshness import open_view, patience
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.query_service.positions.view import View
from storelog.query_service.totals import ledger_sums
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, PRODUCT
from storelog.shop.money import format_money
from storelog.web.http import Request, Response

BodyOf = Callable[[int, str | None, list[int]], Document]
_FIRST_DAY = date(1970, 1, 1).toordinal()


class AnalyticsApi:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def total_sales(self, request: Request) -> Response:
        """GET /analytics/total-sales"""
        view, days, _ = await self._sums(request, "day")
        units, amount, orders = (sum(entry[n] for entry in days.values()) for n in range(3))
        body = {
            "totalSales": format_money(to_decimal(amount)),
            "unitsSold": units,
            "orders": orders,
        }
        return respond(view, body)

    async def sales_by_day(self, request: Request) -> Response:
        """GET /analytics/sales-by-day"""
        view, days, _ = await self._sums(request, "day")
        items = [
            {
                "day": date.fromordinal(_FIRST_DAY + day).isoformat(),
                "totalSales": format_money(to_decimal(amount)),
                "unitsSold": units,
                "orders": orders,
            }
            for day, (units, amount, orders) in sorted(days.items())
        ]
        return respond(view, {"items": items})

    async def product_totals(self, request: Request) -> Response:
        """GET /analytics/product-totals"""
        return await self._top(request, PRODUCT, _product_total)

    async def top_customers(self, request: Request) -> Response:
        """GET /analytics/top-customers"""
        return await self._top(request, CUSTOMER, _top_customer)

    async def _top(self, request: Request, kind: EntityKind, body: BodyOf) -> Response:
        view, sums, limit = await self._sums(request, kind.name)
        # Equal amounts are ordered by id, so that repeated requests show the same order.
        top = sorted(sums.items(), key=lambda pair: (-pair[1][1], pair[0]))[:limit]
        async with reading_mongodb():
            names = await view.names(kind.collection, (number for number, _ in top))
        items = [body(number, names.get(number), entry) for number, entry in top]
        return respond(view, {"items": items})

    async def _sums(self, request: Request, kind: str) -> tuple[View, Sums, int]:
        parameters = Parameters(request.query)
        span, limit = parameters.range(), parameters.limit()
        parameters.done()
        async with reading_mongodb(patience(request)):
            view = await open_view(self._reads, request)
            return view, await ledger_sums.sums(view, kind, span), limit


def _product_total(number: int, name: str | None, entry: list[int]) -> Document:
    return {
        PRODUCT.id_name: number,
        f"{PRODUCT.name}Name": name,
        "unitsSold": entry[0],
        "totalSales": format_money(to_decimal(entry[1])),
    }


def _top_customer(number: int, name: str | None, entry: list[int]) -> Document:
    return {
        CUSTOMER.id_name: number,
        "name": name,
        "orders": entry[2],
        "totalSpent": format_money(to_decimal(entry[1])),
    }
