"""Placing an order: a form with a line for each product, which works without a script.

Next: console/changes.py
"""

import asyncio
from typing import Any

from storelog.client.problems import Problem
from storelog.console.changes import form_error
from storelog.console.forms import Form, as_whole
from storelog.console.page import see_other
from storelog.console.site import Site
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.shop.fields import field_at
from storelog.shop.order import NewOrder, OrderLine
from storelog.web.http import Request, Response, Route

MAX_LINES = 50
LINES = 3
ITEMS = field_at(NewOrder.order_items).json
QUANTITY = field_at(OrderLine.quantity).json
_OFFERED = "200"


class PlaceOrderForm:
    """The form."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        names = (CUSTOMER.id_name, PRODUCT.id_name)
        return [
            self._site.get("/console/orders/new", self._show, *names, role="write"),
            self._site.post("/console/orders/new", self._place),
        ]

    async def _show(self, request: Request) -> Response:
        lines = [{"product": request.query.get(PRODUCT.id_name, ""), "units": "1"}]
        lines += [{"product": "", "units": ""} for _ in range(LINES - 1)]
        values = {"customer": request.query.get(CUSTOMER.id_name, "")}
        return await self._form(request, values, lines)

    async def _place(self, request: Request, form: Form) -> Response:
        products, quantities = form.all("product"), form.all("units")
        lines = [
            {"product": product, "units": quantity}
            for product, quantity in zip(products, quantities, strict=False)
        ][:MAX_LINES]
        values = {"customer": form.text("customer"), "key": form.text("key")}
        if form.text("action") == "add":
            lines.append({"product": "", "units": ""})
            return await self._form(request, values, lines)
        # Empty lines are left out. The others keep their order, by which errors name them.
        wanted = [line for line in lines if line["product"] or line["units"].strip("1")]
        body = {
            CUSTOMER.id_name: _id(values["customer"]),
            ITEMS: [
                {PRODUCT.id_name: _id(line["product"]), QUANTITY: as_whole(line["units"])}
                for line in wanted
            ],
        }
        try:
            done = await self._site.commands.send(
                request, "POST", "/orders", body, key=form.text("key")
            )
        except Problem as problem:
            facts = form_error(problem, form)
            return await self._form(
                request,
                # Without the old key: a corrected order is another request and needs a new one.
                {"customer": values["customer"]},
                wanted or lines,
                problem.status,
                errors=facts["errors"],
                message=facts["message"],
            )
        return see_other(f"/console/orders/{done.body[ORDER.id_name]}", position=done.position)

    async def _form(
        self,
        request: Request,
        values: dict[str, str],
        lines: list[dict[str, str]],
        status: int = 200,
        **more: Any,
    ) -> Response:
        get = self._site.query.get
        offered = {"limit": _OFFERED, "sort": "-id"}
        customers, products = await asyncio.gather(
            get(request, "/customers", offered), get(request, "/products", offered)
        )
        facts = {
            "values": values,
            "lines": lines,
            "customers": customers.items,
            "products": products.items,
            **more,
        }
        return self._site.templates.page(request, "order_new.html", status, **facts)


def _id(typed: str) -> int | str:
    """Return the id at the beginning of the entered or chosen text: `12 Ann Miller`."""
    return as_whole(typed.partition(" ")[0])
