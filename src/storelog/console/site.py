"""What all pages share: the templates, both sides of the shop, and how a page becomes a route.

Next: console/orders.py
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from storelog.console.command_side import CommandSide
from storelog.console.forms import Form, Origins, shows, submits
from storelog.console.page import Templates
from storelog.console.query_side import QuerySide
from storelog.web.http import AnyResponse, Handler, Operation, Request, Response, Route

PageQuery = Mapping[str, dict[str, Any]]
_ANY: dict[str, Any] = {}
# Every page takes a moment, and the position to wait for after a write.
_EVERYWHERE = ("asOf", "position")


@dataclass(frozen=True, slots=True)
class Site:
    """The console's parts, one of each."""

    templates: Templates
    query: QuerySide
    commands: CommandSide
    origins: Origins

    def get(
        self,
        path: str,
        handler: Callable[[Request], Awaitable[Response]],
        *parameters: str,
        role: str = "read",
    ) -> Route:
        """Return the route of a page with these parameters."""
        return self._route("GET", path, role, shows(handler, self.templates.problem), parameters)

    def post(
        self,
        path: str,
        handler: Callable[[Request, Form], Awaitable[Response]],
        role: str = "write",
    ) -> Route:
        """Return the route of a form."""
        taken = submits(self.origins, handler, self.templates.problem)
        return self._route("POST", path, role, taken, ())

    def stream(self, path: str, handler: Callable[[Request], Awaitable[AnyResponse]]) -> Route:
        """Return the route of the live stream."""
        return self._route("GET", path, "read", handler, ("topics",))

    def _route(
        self, method: str, path: str, role: str, handler: Handler, parameters: tuple[str, ...]
    ) -> Route:
        query: PageQuery = dict.fromkeys((*_EVERYWHERE, *parameters), _ANY)
        operation = Operation(path, query=query, content_type="text/html")
        return Route(
            method,
            path,
            role,
            handler,
            operation,
            takes_sessions=role != "public",
            render_error=self.templates.error,
        )
