"""Orders: the list with its filters, and one order with its lines and history.

Next: console/place_order.py
"""

from typing import Any

from storelog.console.entity_pages import EntityPages
from storelog.console.forms import as_whole
from storelog.console.page import see_other
from storelog.console.query_side import Found
from storelog.errors import InvalidFields, NotFound
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.web.http import Request, Response, Route

ID = ORDER.id_name


class OrderPages(EntityPages):
    """The pages."""

    kind = ORDER
    # Fewer than of other entities, since each order is read with all its lines.
    rows = 25
    filters = (CUSTOMER.id_name, PRODUCT.id_name, "from", "to", "sort", "cursor")

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            self._site.get(self._home, self._find, *self.filters, ID),
            self._site.get(self._of_one, self._show),
            self._site.post(f"{self._of_one}/deletion", self._delete),
        ]

    async def _find(self, request: Request) -> Response:
        """Show the list, or the order whose number was entered."""
        typed = request.query.get(ID, "").strip()
        if not typed:
            return await self._list(request)
        number = as_whole(typed)
        if not isinstance(number, int) or number < 1:
            raise InvalidFields([(f"?{ID}", "must be the number of an order")])
        return see_other(f"{self._home}/{number}", asOf=request.query.get("asOf"))

    async def _page(self, request: Request, status: int = 200, **more: Any) -> Response:
        history, found = await self._read(request)
        order = _of_history(history) if found is None else found.body
        facts = {"order": order, "found": found, "history": history, **more}
        return self._site.templates.page(request, "order.html", status, **facts)


def _of_history(history: Found) -> dict[str, Any]:
    """Return a deleted order from its first event. Raises NotFound where it never existed."""
    if not history.items:
        raise NotFound("There is no such order.")
    changed = {change["field"]: change["to"] for change in history.items[-1]["changed"]}
    return {**changed, "customerName": None}
