"""Customers: the list with its search, one customer with orders and history, and the forms.

Next: console/products.py
"""

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
from storelog.console.forms import Form
from storelog.console.page import see_other
from storelog.console.site import Site
from storelog.shop.customer import Customer, NewCustomer
from storelog.shop.events import CUSTOMER
from storelog.web.http import Request, Response, Route

PAGE = "50"
ID = CUSTOMER.id_name
CUSTOMER_PATH = "/console/customers/{customerId}"
FIELDS = names_of(NewCustomer)


class CustomerPages:
    """The pages and forms."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        site = self._site
        return [
            site.get("/console/customers", self._list, "q", "sort", "cursor"),
            site.get("/console/customers/new", self._new, role="write"),
            site.post("/console/customers/new", self._create),
            site.get(CUSTOMER_PATH, self._show, "cursor"),
            site.post(f"{CUSTOMER_PATH}/change", self._change),
            site.post(f"{CUSTOMER_PATH}/deletion", self._delete),
        ]

    async def _list(self, request: Request) -> Response:
        asked = {name: request.query.get(name) for name in ("q", "sort", "cursor")}
        found = await self._site.query.get(request, "/customers", {**asked, "limit": PAGE})
        return self._site.templates.page(request, "customers.html", found=found)

    async def _new(self, request: Request) -> Response:
        return self._site.templates.page(request, "customer_new.html", values={})

    async def _create(self, request: Request, form: Form) -> Response:
        try:
            done = await self._site.commands.send(
                request, "POST", "/customers", body_of(form, NewCustomer), key=form.text("key")
            )
        except Problem as problem:
            facts = form_error(problem, form)
            return self._site.templates.page(request, "customer_new.html", problem.status, **facts)
        place = f"/console/customers/{done.body[ID]}"
        return see_other(place, position=done.position)

    async def _show(self, request: Request) -> Response:
        return await self._page(request)

    async def _page(self, request: Request, status: int = 200, **more: Any) -> Response:
        ids = {ID: request.ids[ID]}
        get = self._site.query.get
        history = await get(request, "/history/customers/{customerId}", {"limit": "100"}, ids)
        found = await self._site.query.get_or_none(request, "/customers/{customerId}", ids)
        customer = deleted_facts(history, Customer) if found is None else found.body
        asked = {ID: str(ids[ID]), "limit": "20"}
        orders = await get(request, "/orders", {**asked, "cursor": request.query.get("cursor")})
        facts = {"customer": customer, "found": found, "history": history, "orders": orders}
        return self._site.templates.page(
            request, "customer.html", status, **{**facts, "values": customer, "stale": None, **more}
        )

    async def _change(self, request: Request, form: Form) -> Response:
        number = request.ids[ID]
        try:
            done = await self._site.commands.send(
                request,
                "PUT",
                f"/customers/{number}",
                body_of(form, NewCustomer),
                key=form.text("key"),
                version=version_of(form),
            )
        except Problem as problem:
            return await self._page(request, problem.status, **stale_facts(problem, form, FIELDS))
        return see_other(f"/console/customers/{number}", position=done.position)

    async def _delete(self, request: Request, form: Form) -> Response:
        number = request.ids[ID]
        try:
            done = await self._site.commands.send(
                request,
                "DELETE",
                f"/customers/{number}",
                key=form.text("key"),
                version=version_of(form),
            )
        except Problem as problem:
            return await self._page(request, problem.status, **stale_facts(problem, form, ()))
        return see_other(f"/console/customers/{number}", position=done.position)
