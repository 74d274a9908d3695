"""The first page: orders and revenue, the newest orders, low stock, and the system's health.

Next: console/query_side.py
"""

import asyncio
import time
from datetime import timedelta
from typing import Any

from storelog.console.charts import day_chart
from storelog.console.query_side import Found
from storelog.console.site import Site
from storelog.envelope import format_time, utc_now
from storelog.errors import Unavailable
from storelog.web.http import AnyResponse, Request, Response, Route

DAYS = 30
SHOWN = 8
COUNTED = 100
HELD_SECONDS = 30.0
_TOTALS, _LOW_STOCK = "/analytics/total-sales", "/analytics/low-stock"


class Overview:
    """The page, the part of it that is updated, and the stream that triggers updates."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._low: list[dict[str, Any]] | None = None
        self._look_at = float("-inf")
        self._looking = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            self._site.get("/console", self._show),
            self._site.get("/console/now", self._now),
            self._site.stream("/console/live", self._live),
        ]

    async def _live(self, request: Request) -> AnyResponse:
        return await self._site.query.live(request, {"topics": "orders,products,customers"})

    async def _show(self, request: Request) -> Response:
        today = utc_now().date()
        began = (today - timedelta(days=DAYS - 1)).isoformat()
        get = self._site.query.get
        facts, days, health = await asyncio.gather(
            self._moving(request),
            get(request, "/analytics/sales-by-day", {"from": began}),
            self._health(request),
        )
        # Last, since it would slow down the other reads: an embedded MongoDB runs one at a time.
        low = await self._low_stock(request)
        chart = day_chart(days.items, DAYS, today) if days.items else None
        return self._site.templates.page(
            request, "overview.html", **facts, chart=chart, health=health, low=low, shown=SHOWN
        )

    async def _now(self, request: Request) -> Response:
        return self._site.templates.page(request, "now.html", **await self._moving(request))

    async def _moving(self, request: Request) -> dict[str, Any]:
        """Return the facts that change with each order."""
        now, get = utc_now(), self._site.query.get
        minute_ago = format_time(now - timedelta(minutes=1))
        today, in_all, minute, orders = await asyncio.gather(
            get(request, _TOTALS, {"from": now.date().isoformat()}),
            get(request, _TOTALS),
            get(request, "/orders", {"from": minute_ago, "count": "true", "limit": "1"}),
            get(request, "/orders", {"limit": str(SHOWN)}),
        )
        return {
            "today": today.body,
            "in_all": in_all.body,
            "per_minute": minute.body["count"],
            "orders": orders.items,
            "position": orders.position,
            "dead_letters": orders.dead_letters,
        }

    async def _low_stock(self, request: Request) -> list[dict[str, Any]] | None:
        """Return the products with the fewest units left, None where unknown, as in the past.

        The query reads every product, so all pages share one result for HELD_SECONDS.
        """
        if request.query.get("asOf"):
            return None
        async with self._looking:
            if time.monotonic() >= self._look_at:
                asked = {"limit": str(COUNTED)}
                try:
                    self._low = (await self._site.query.get(request, _LOW_STOCK, asked)).items
                except Unavailable:
                    self._low = None
                self._look_at = time.monotonic() + HELD_SECONDS
            return self._low

    async def _health(self, request: Request) -> dict[str, Any]:
        """Return the read side's lag and the last result of `verify`, as far as they are known."""
        read, write = await asyncio.gather(
            self._site.query.get(request, "/operations"),
            self._site.commands.glance(request),
        )
        return health_of(read, write)


def health_of(read: Found, write: dict[str, Any] | None) -> dict[str, Any]:
    """Return the system's health as a few facts, None for those that are unknown now."""
    behind = None if write is None else max(0, write["log"]["position"] - read.body["position"])
    not_ready = [
        process for process in read.body["processes"] if process["state"] in ("not-ready", "away")
    ]
    return {
        "behind": behind,
        "dead_letters": read.body["deadLetters"],
        "verify": last_results(write).get("verify"),
        "not_ready": not_ready,
    }


def last_results(write: dict[str, Any] | None) -> dict[str, Any]:
    """Return the last result of each operation by its name."""
    return {} if write is None else {each["operation"]: each for each in write["results"]}
