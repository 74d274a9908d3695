"""Orders: the list with its filters, and one order with its lines and its time line.

Next: console/place_order.py
"""

from typing import Any

from storelog.console.forms import Form
from storelog.console.page import see_other
from storelog.console.query_side import Found
from storelog.console.site import Site
from storelog.errors import NotFound
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.web.http import Request, Response, Route

PAGE = "50"
ID = ORDER.id_name
ORDER_PATH = "/console/orders/{orderId}"


class OrderPages:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        filters = (CUSTOMER.id_name, PRODUCT.id_name, "from", "to", "sort", "cursor", ID)
        return [
            self._site.get("/console/orders", self._list, *filters),
            self._site.get(ORDER_PATH, self._show),
            self._site.post(f"{ORDER_PATH}/deletion", self._delete),
        ]

    async def _list(self, request: Request) -> Response:
        wanted = request.query.get(ID, "")
        if wanted.isascii() and wanted.isdecimal() and int(wanted[:18]) > 0:
            return see_other(f"/console/orders/{int(wanted[:18])}", asOf=request.query.get("asOf"))
        names = (CUSTOMER.id_name, PRODUCT.id_name, "from", "to", "sort", "cursor")
        asked = {name: request.query.get(name) for name in names}
        found = await self._site.query.get(request, "/orders", {**asked, "limit": PAGE})
        return self._site.templates.page(request, "orders.html", found=found)

    async def _show(self, request: Request) -> Response:
        return await self._page(request)

    async def _page(self, request: Request, status: int = 200, **more: Any) -> Response:
        ids = {ID: request.ids[ID]}
        history = await self._site.query.get(
            request, "/history/orders/{orderId}", {"limit": "100"}, ids
        )
        found = await self._site.query.get_or_none(request, "/orders/{orderId}", ids)
        order = _of_history(history) if found is None else found.body
        facts = {"order": order, "found": found, "history": history, **more}
        return self._site.templates.page(request, "order.html", status, **facts)

    async def _delete(self, request: Request, form: Form) -> Response:
        number, version = request.ids[ID], form.whole("version")
        done = await self._site.commands.send(
            request,
            "DELETE",
            f"/orders/{number}",
            key=form.text("key"),
            version=version if isinstance(version, int) else None,
        )
        return see_other(f"/console/orders/{number}", position=done.position)


def _of_history(history: Found) -> dict[str, Any]:
    """Return a deleted order as its first event says it. Raises NotFound where there is none."""
    if not history.items:
        raise NotFound("There is no such order.")
    changed = {change["field"]: change["to"] for change in history.items[-1]["changed"]}
    return {**changed, "customerName": None}
