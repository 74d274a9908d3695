"""Products: the list with stock, one product with its chart, sales and history, and the forms.

Next: console/changes.py
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from storelog.client.problems import Problem
from storelog.console.changes import (
    body_of,
    deleted_facts,
    form_error,
    names_of,
    stale_facts,
    version_of,
)
from storelog.console.charts import step_chart
from storelog.console.forms import Form
from storelog.console.page import see_other
from storelog.console.site import Site
from storelog.shop.events import PRODUCT
from storelog.shop.fields import field_at, unique_fields_of
from storelog.shop.product import ChangedProduct, NewProduct, Product, StockAdjustment
from storelog.web.http import Request, Response, Route

PAGE = "50"
ID = PRODUCT.id_name
STOCK, PRICE = field_at(Product.stock).json, field_at(Product.price).json
UNIQUE = tuple(field.json for field in unique_fields_of(Product))
# How much of its history a product's page shows and draws.
EVENTS = "200"
PRODUCT_PATH = "/console/products/{productId}"
FIELDS = tuple(name for name in names_of(ChangedProduct) if name != STOCK)


class ProductPages:
    """The pages and forms."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        site = self._site
        return [
            site.get("/console/products", self._list, "q", "sort", "cursor", "inStock", *UNIQUE),
            site.get("/console/products/new", self._new, role="write"),
            site.post("/console/products/new", self._create),
            site.get(PRODUCT_PATH, self._show),
            site.post(f"{PRODUCT_PATH}/change", self._change),
            site.post(f"{PRODUCT_PATH}/stock", self._adjust),
            site.post(f"{PRODUCT_PATH}/deletion", self._delete),
        ]

    async def _list(self, request: Request) -> Response:
        names = ("q", "sort", "cursor", "inStock", *UNIQUE)
        asked = {name: request.query.get(name) for name in names}
        found = await self._site.query.get(request, "/products", {**asked, "limit": PAGE})
        return self._site.templates.page(request, "products.html", found=found)

    async def _new(self, request: Request) -> Response:
        return self._site.templates.page(request, "product_new.html", values={})

    async def _create(self, request: Request, form: Form) -> Response:
        body = body_of(form, NewProduct)
        try:
            done = await self._site.commands.send(
                request, "POST", "/products", body, key=form.text("key")
            )
        except Problem as problem:
            facts = form_error(problem, form)
            return self._site.templates.page(request, "product_new.html", problem.status, **facts)
        place = f"/console/products/{done.body[ID]}"
        return see_other(place, position=done.position)

    async def _show(self, request: Request) -> Response:
        return await self._page(request)

    async def _page(self, request: Request, status: int = 200, **more: Any) -> Response:
        ids = {ID: request.ids[ID]}
        get = self._site.query.get
        history = await get(request, "/history/products/{productId}", {"limit": EVENTS}, ids)
        found = await self._site.query.get_or_none(request, "/products/{productId}", ids)
        product = deleted_facts(history, Product) if found is None else found.body
        asked = {ID: str(ids[ID]), "limit": "20"}
        sales = await get(request, "/product-sold", asked)
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

    async def _change(self, request: Request, form: Form) -> Response:
        return await self._send(request, form, "PUT", "", body_of(form, ChangedProduct), FIELDS)

    async def _adjust(self, request: Request, form: Form) -> Response:
        body = body_of(form, StockAdjustment)
        return await self._send(request, form, "POST", "/stock-adjustments", body, ())

    async def _delete(self, request: Request, form: Form) -> Response:
        return await self._send(request, form, "DELETE", "", None, ())

    async def _send(
        self,
        request: Request,
        form: Form,
        method: str,
        suffix: str,
        body: dict[str, Any] | None,
        fields: Sequence[str],
    ) -> Response:
        number = request.ids[ID]
        try:
            done = await self._site.commands.send(
                request,
                method,
                f"/products/{number}{suffix}",
                body,
                key=form.text("key"),
                version=version_of(form),
            )
        except Problem as problem:
            facts = stale_facts(problem, form, fields)
            if not fields:
                # What was typed into another form is no value of the product.
                facts["adjustment"] = facts.pop("values")
            return await self._page(request, problem.status, **facts)
        return see_other(f"/console/products/{number}", position=done.position)


def _chart(events: Sequence[dict[str, Any]], field: str, name: str) -> Any:
    """Return the steps of a field through its history, oldest first; None for fewer than two."""
    points = [
        (event["recordedAt"], Decimal(str(change["to"])))
        for event in reversed(events)
        for change in event["changed"]
        if change["field"] == field and change["to"] is not None
    ]
    return step_chart(points, name) if len(points) > 1 else None
