"""The Query Service as pages use it: its own handlers, called in this process.

Guarantees that a page shows the same as the API: the same checks, `asOf`, positions and errors. It
knows the routes by their paths only.
Next: query_service/http/routes.py
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from storelog.errors import NotFound
from storelog.web.http import Request, Response, Route, Stream

Body = dict[str, Any]
WAIT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Found:
    """One response: its body, and the values of its headers."""

    body: Body
    position: int
    dead_letters: int
    etag: str | None

    @property
    def version(self) -> int:
        """The version in the entity tag, 0 if there is none."""
        digits = (self.etag or "").strip('"').partition("-")[0]
        return int(digits) if digits.isdecimal() else 0

    @property
    def items(self) -> list[Body]:
        """The items of a list."""
        items: list[Body] = self.body["items"]
        return items


class QuerySide:
    """The handlers of the Query Service's table, found by their paths."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = {route.path: route for route in routes if route.method == "GET"}
        self.last_position = 0

    async def get(
        self,
        page: Request,
        path: str,
        query: Mapping[str, str | None] | None = None,
        ids: Mapping[str, int] | None = None,
    ) -> Found:
        """Return the endpoint's response, as of the page's moment.

        A page with the parameter `position`, after a write, waits for that position. Raises the
        endpoint's errors.
        """
        route = self._routes[path]
        asked = {name: value for name, value in (query or {}).items() if value}
        if page.query.get("asOf") and "asOf" in route.operation.query:
            asked.setdefault("asOf", page.query["asOf"])
        headers = {}
        written = page.query.get("position", "")
        if written.isdecimal() and "asOf" not in asked:
            headers = {"storelog-wait-for": written, "prefer": f"wait={WAIT_SECONDS}"}
        request = replace(
            page,
            method="GET",
            path=path,
            ids=dict(ids or {}),
            query=asked,
            headers=headers,
            body=b"",
        )
        response = await route.handler(request)
        assert isinstance(response, Response)
        said = dict(response.headers)
        position = int(said.get("Storelog-Position", 0))
        self.last_position = max(self.last_position, position)
        return Found(
            json.loads(response.body),
            position,
            int(said.get("Storelog-Dead-Letters", 0)),
            said.get("ETag"),
        )

    async def get_or_none(self, page: Request, path: str, ids: Mapping[str, int]) -> Found | None:
        """Return the endpoint's response, None for an entity that does not exist or is deleted."""
        try:
            return await self.get(page, path, None, ids)
        except NotFound:
            return None

    async def live(self, page: Request, query: Mapping[str, str]) -> Stream:
        """Return the stream of changes as unnamed events, which htmx gets as messages."""
        headers = {name: value for name, value in page.headers.items() if name == "last-event-id"}
        asked = {**query, "events": "unnamed"}
        request = replace(page, path="/live", ids={}, query=asked, headers=headers, body=b"")
        response = await self._routes["/live"].handler(request)
        assert isinstance(response, Stream)
        return response
