"""The figures: sums of totals for whole days, and of the orders in the cut edges of a range.

All are sums of exact line amounts; deleted orders are in none.
Next: query_service/bodies.py
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from storelog.domain.money import exact_sum, line_amount
from storelog.query_service.lists import newest_orders
from storelog.query_service.parameters import Range
from storelog.query_service.view import Document, View

_DAY = timedelta(days=1)


@dataclass(slots=True)
class Figure:
    """Units, exact sales, and number of orders."""

    units: int = 0
    sales: Decimal = Decimal(0)
    orders: int = 0

    def add(self, units: int, sales: Decimal, orders: int) -> None:
        """Add to the figure."""
        self.units += units
        self.sales = exact_sum((self.sales, sales))
        self.orders += orders


@dataclass(slots=True)
class Figures:
    """Figures by entry: a day, a product's id, a customer's id."""

    by_entry: dict[str, Figure] = field(default_factory=dict)

    def add(self, entry: str, units: int, sales: Decimal, orders: int) -> None:
        """Add to one entry's figure."""
        self.by_entry.setdefault(entry, Figure()).add(units, sales, orders)

    def sold(self) -> list[tuple[str, Figure]]:
        """Return the entries in which anything is sold."""
        return [(entry, figure) for entry, figure in self.by_entry.items() if figure.orders]


@dataclass(frozen=True, slots=True)
class _Parts:
    """A range as whole days [first, last) and at most two cut edges."""

    first: datetime
    last: datetime
    edges: tuple[Range, ...]


async def shop(view: View, span: Range) -> Figures:
    """Return the shop's figures by day."""
    figures = Figures()
    parts = _cut(span, view)
    if parts is None:
        return figures
    if parts.first < parts.last:
        first, last = f"{parts.first:%Y-%m-%d}", f"{parts.last:%Y-%m-%d}"
        query = {"kind": "shop", "period": {"$gte": first[:7], "$lte": last[:7]}}
        async for document in view.collection("totals").find(query):
            for day, entry in document["entries"].items():
                if first <= day < last:
                    _add(figures, day, entry)
    async for order in _edges(view, parts):
        figures.add(f"{order['orderDate']:%Y-%m-%d}", *_sum(order["orderItems"]), 1)
    return figures


async def by_product(view: View, span: Range) -> Figures:
    """Return the figures by product."""
    figures = await _by(view, span, "product")
    parts = None if _is_open(span) else _cut(span, view)
    if parts is not None:
        async for order in _edges(view, parts):
            lines: dict[int, list[Document]] = {}
            for item in order["orderItems"]:
                lines.setdefault(item["productId"], []).append(item)
            for product, items in lines.items():
                figures.add(str(product), *_sum(items), 1)
    return figures


async def by_customer(view: View, span: Range) -> Figures:
    """Return the figures by customer."""
    figures = await _by(view, span, "customer")
    parts = None if _is_open(span) else _cut(span, view)
    if parts is not None:
        async for order in _edges(view, parts):
            figures.add(str(order["customerId"]), *_sum(order["orderItems"]), 1)
    return figures


def _is_open(span: Range) -> bool:
    return span.start is None and span.end is None


async def _by(view: View, span: Range, kind: str) -> Figures:
    figures = Figures()
    query: Document = {"kind": kind, "period": "all"}
    if not _is_open(span):
        parts = _cut(span, view)
        if parts is None or parts.first >= parts.last:
            return figures
        first, last = f"{parts.first:%Y-%m-%d}", f"{parts.last:%Y-%m-%d}"
        query = {"kind": kind, "period": {"$gte": first, "$lt": last}}
    async for document in view.collection("totals").find(query):
        for entry, total in document["entries"].items():
            _add(figures, entry, total)
    return figures


def _add(figures: Figures, entry: str, total: Document) -> None:
    figures.add(entry, int(total["units"]), total["sales"].to_decimal(), int(total["orders"]))


def _sum(items: Iterable[Document]) -> tuple[int, Decimal]:
    lines = [(item["quantity"], item["price"].to_decimal()) for item in items]
    return sum(q for q, _ in lines), exact_sum(line_amount(q, price) for q, price in lines)


def _cut(span: Range, view: View) -> _Parts | None:
    """Cut a range into whole UTC days and edges, within where there are orders at all."""
    if view.place.oldest_order is None or view.place.newest_order is None:
        return None
    begin, beyond = _midnight(view.place.oldest_order), _midnight(view.place.newest_order) + _DAY
    start = max(span.start or begin, begin).astimezone(UTC)
    end = min(span.end or beyond, beyond).astimezone(UTC)
    if start >= end:
        return None
    first, last = _midnight(start), _midnight(end)
    first = first if first == start else first + _DAY
    if first > last:
        return _Parts(first, first, (Range(start, end),))
    edges = [Range(a, b) for a, b in ((start, first), (last, end)) if a < b]
    return _Parts(first, last, tuple(edges))


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def _edges(view: View, parts: _Parts) -> AsyncGenerator[Document]:
    for edge in parts.edges:
        async with aclosing(newest_orders(view, edge)) as orders:
            async for order in orders:
                yield order
