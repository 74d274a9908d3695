"""Customers: the list with its search, one customer with orders and history, and the forms.

Next: console/entity_pages.py
"""

import asyncio
from typing import Any

from storelog.console.changes import body_of, deleted_facts, names_of
from storelog.console.entity_pages import EntityPages
from storelog.console.forms import Form
from storelog.shop.customer import Customer, NewCustomer
from storelog.shop.events import CUSTOMER
from storelog.web.http import Request, Response, Route

FIELDS = names_of(NewCustomer)


class CustomerPages(EntityPages):
    """The pages and forms."""

    kind = CUSTOMER
    filters = ("q", "sort", "cursor")

    def routes(self) -> list[Route]:
        """Return the routes."""
        site = self._site
        return [
            site.get(self._home, self._list, *self.filters),
            site.get(f"{self._home}/new", self._new, role="write"),
            site.post(f"{self._home}/new", self._create),
            site.get(self._of_one, self._show, "cursor"),
            site.post(f"{self._of_one}/change", self._change),
            site.post(f"{self._of_one}/deletion", self._delete),
        ]

    async def _page(self, request: Request, status: int = 200, **more: Any) -> Response:
        number = str(request.ids[CUSTOMER.id_name])
        asked = {CUSTOMER.id_name: number, "limit": "20", "cursor": request.query.get("cursor")}
        (history, found), orders = await asyncio.gather(
            self._read(request), self._site.query.get(request, "/orders", asked)
        )
        customer = deleted_facts(history, Customer) if found is None else found.body
        facts = {
            "customer": customer,
            "found": found,
            "history": history,
            "orders": orders,
            "values": customer,
            "stale": None,
        }
        return self._site.templates.page(request, "customer.html", status, **{**facts, **more})

    async def _create(self, request: Request, form: Form) -> Response:
        return await self._begin(request, form, NewCustomer)

    async def _change(self, request: Request, form: Form) -> Response:
        return await self._send(request, form, "PUT", "", body_of(form, NewCustomer), FIELDS)
