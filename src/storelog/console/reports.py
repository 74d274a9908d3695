"""Reports: sales by day, by product and by customer over any range, as chart, table and CSV.

Next: console/charts.py
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from storelog.console.charts import bar_chart
from storelog.console.page import HEADERS
from storelog.console.site import Site
from storelog.shop.events import CUSTOMER, PRODUCT
from storelog.shop.fields import field_at
from storelog.shop.order import OrderItem
from storelog.web.http import Request, Response, Route

LIMIT = "100"
CSV_LIMIT = "500"
# A spreadsheet runs a cell that begins with one of these as a formula; names come from clients.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class ReportKind:
    """One report: its title, the endpoint, and its columns as (member, heading, kind)."""

    name: str
    title: str
    path: str
    columns: Sequence[tuple[str, str, str]]


_MONEY, _NUMBER, _TEXT = "money", "number", "text"
REPORTS = {
    report.name: report
    for report in (
        ReportKind(
            "days",
            "Sales by day",
            "/analytics/sales-by-day",
            (
                ("day", "Day", _TEXT),
                ("orders", "Orders", _NUMBER),
                ("unitsSold", "Units", _NUMBER),
                ("totalSales", "Sales", _MONEY),
            ),
        ),
        ReportKind(
            "products",
            "Sales by product",
            "/analytics/product-totals",
            (
                (PRODUCT.id_name, "Product", PRODUCT.name),
                (field_at(OrderItem.product_name).json, "Name", _TEXT),
                ("unitsSold", "Units", _NUMBER),
                ("totalSales", "Sales", _MONEY),
            ),
        ),
        ReportKind(
            "customers",
            "Sales by customer",
            "/analytics/top-customers",
            (
                (CUSTOMER.id_name, "Customer", CUSTOMER.name),
                ("name", "Name", _TEXT),
                ("orders", "Orders", _NUMBER),
                ("totalSpent", "Sales", _MONEY),
            ),
        ),
    )
}


class ReportPages:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            self._site.get("/console/reports", self._show, "by", "from", "to"),
            self._site.get("/console/reports/csv", self._as_csv, "by", "from", "to"),
        ]

    async def _read(self, request: Request, limit: str) -> tuple[ReportKind, list[dict[str, Any]]]:
        report = REPORTS.get(request.query.get("by", ""), REPORTS["days"])
        asked = {"from": request.query.get("from"), "to": request.query.get("to")}
        if report.name != "days":
            asked["limit"] = limit
        found = await self._site.query.get(request, report.path, asked)
        return report, found.items

    async def _show(self, request: Request) -> Response:
        report, items = await self._read(request, LIMIT)
        chart = None
        if report.name == "days" and items:
            days = [date.fromisoformat(item["day"]) for item in items]
            chart = bar_chart(days, [Decimal(item["totalSales"]) for item in items])
            items = items[::-1]
        return self._site.templates.page(
            request, "reports.html", report=report, reports=REPORTS, items=items, chart=chart
        )

    async def _as_csv(self, request: Request) -> Response:
        report, items = await self._read(request, CSV_LIMIT)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([heading for _, heading, _ in report.columns])
        for item in items:
            writer.writerow([harmless(item[member]) for member, _, _ in report.columns])
        named = (("Content-Disposition", f'attachment; filename="{report.name}.csv"'),)
        # With a byte order mark, without which Excel would not read it as UTF-8.
        body = text.getvalue().encode("utf-8-sig")
        return Response(200, body, (*HEADERS, *named), "text/csv; charset=utf-8")


def harmless(value: Any) -> str:
    """Return the text of a cell that no spreadsheet runs as a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
