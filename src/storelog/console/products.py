"""Products: the list with stock, one product with its chart, sales and history, and the forms.

Next: console/entity_pages.py
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from storelog.console.changes import body_of, deleted_facts, names_of
from storelog.console.charts import step_chart
from storelog.console.entity_pages import EntityPages
from storelog.console.forms import Form
from storelog.shop.events import PRODUCT
from storelog.shop.fields import field_at, unique_fields_of
from storelog.shop.product import ChangedProduct, NewProduct, Product, StockAdjustment
from storelog.web.http import Request, Response, Route

STOCK, PRICE = field_at(Product.stock).json, field_at(Product.price).json
# Stock has a form of its own: a change of the name must not set it back to what the page showed.
FIELDS = tuple(name for name in names_of(ChangedProduct) if name != STOCK)


class ProductPages(EntityPages):
    """The pages and forms."""

    kind = PRODUCT
    filters = ("q", "sort", "cursor", "inStock", *(f.json for f in unique_fields_of(Product)))
    # The charts of stock and price show this many events.
    history = 200

    def routes(self) -> list[Route]:
        """Return the routes."""
        site = self._site
        return [
            site.get(self._home, self._list, *self.filters),
            site.get(f"{self._home}/new", self._new, role="write"),
            site.post(f"{self._home}/new", self._create),
            site.get(self._of_one, self._show),
            site.post(f"{self._of_one}/change", self._change),
            site.post(f"{self._of_one}/stock", self._adjust),
            site.post(f"{self._of_one}/deletion", self._delete),
        ]

    async def _page(self, request: Request, status: int = 200, **more: Any) -> Response:
        asked = {PRODUCT.id_name: str(request.ids[PRODUCT.id_name]), "limit": "20"}
        (history, found), sales = await asyncio.gather(
            self._read(request), self._site.query.get(request, "/product-sold", asked)
        )
        product = deleted_facts(history, Product) if found is None else found.body
        facts = {
            "product": product,
            "found": found,
            "history": history,
            "sales": sales,
            "stock_chart": _chart(history.items, STOCK, "Stock"),
            "price_chart": _chart(history.items, PRICE, "Price"),
            "values": product,
            "stale": None,
        }
        return self._site.templates.page(request, "product.html", status, **{**facts, **more})

    async def _create(self, request: Request, form: Form) -> Response:
        return await self._begin(request, form, NewProduct)

    async def _change(self, request: Request, form: Form) -> Response:
        return await self._send(request, form, "PUT", "", body_of(form, ChangedProduct), FIELDS)

    async def _adjust(self, request: Request, form: Form) -> Response:
        body = body_of(form, StockAdjustment)
        return await self._send(request, form, "POST", "/stock-adjustments", body)


def _chart(events: Sequence[dict[str, Any]], field: str, name: str) -> Any:
    """Return the chart of a field's values over time, None for fewer than two values."""
    points = [
        (event["recordedAt"], Decimal(str(change["to"])))
        for event in reversed(events)
        for change in event["changed"]
        if change["field"] == field and change["to"] is not None
    ]
    return step_chart(points, name) if len(points) > 1 else None
