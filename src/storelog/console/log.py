"""The log: events, newest first and with filters, and single events with their neighbours.

Next: command_service/log_pages.py
"""

import json
import re
from typing import Any

from storelog.console.page import see_other
from storelog.console.site import Site
from storelog.errors import InvalidFields
from storelog.shop.events import EVENT_TYPES
from storelog.web.http import Request, Response, Route

PAGE = "50"
_BEYOND_ALL = str(2**63 - 1)
_POSITION = re.compile(r"[1-9]\d{0,17}", re.ASCII)
FILTERS = ("aggregate", "eventType", "caller", "correlationId", "eventId")


class LogPages:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            self._site.get("/console/log", self._list, *FILTERS, "before", "at"),
            self._site.get("/console/log/{eventPosition}", self._show),
        ]

    async def _list(self, request: Request) -> Response:
        at = request.query.get("at", "").strip()
        if _POSITION.fullmatch(at):
            return see_other(f"/console/log/{at}")
        if at:
            raise InvalidFields([("?at", "must be a position in the log")])
        before = request.query.get("before") or await self._end(request)
        asked = {name: request.query.get(name, "").strip() for name in FILTERS}
        page = await self._site.commands.get(
            request, "/events", {**asked, "before": before, "limit": PAGE}
        )
        facts: dict[str, Any] = {"page": page, "types": EVENT_TYPES}
        return self._site.templates.page(request, "log.html", **facts)

    async def _end(self, request: Request) -> str:
        """Return the position before which the log is shown: the one after its end then."""
        as_of = request.query.get("asOf", "")
        if not as_of:
            return _BEYOND_ALL
        if _POSITION.fullmatch(as_of):
            return str(int(as_of) + 1)
        # Any read as of a time returns the position that the Query Service finds for it.
        then = await self._site.query.get(request, "/customers", {"limit": "1"})
        return str(then.position + 1)

    async def _show(self, request: Request) -> Response:
        position = request.ids["eventPosition"]
        event = await self._site.commands.get(request, f"/events/{position}")
        payload = json.dumps(event["payload"], indent=2, ensure_ascii=False)
        facts: dict[str, Any] = {"event": event, "payload": payload}
        return self._site.templates.page(request, "event.html", **facts)
