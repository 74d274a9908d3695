"""Renders a page: one environment of templates, and the frame around each page's content.

Guarantees that every value is escaped, that a page loads scripts and styles from this service's
files only, and that no cache keeps a copy of it.
Next: console/formats.py
"""

from collections.abc import Callable, Mapping
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from storelog import __version__
from storelog.client.problems import Problem
from storelog.config import Settings
from storelog.console.formats import FILTERS, age
from storelog.console.static import address
from storelog.envelope import utc_now
from storelog.errors import InvalidFields, Refusal, StorelogError, Unavailable
from storelog.web.auth import includes
from storelog.web.http import Caller, Request, Response
from storelog.web.problems import TITLES, render

HTML = "text/html; charset=utf-8"
# The head of each page configures htmx to use no eval and no style of its own.
POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'; object-src 'none'"
)
HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("Cache-Control", "no-store"),
    # Not `no-referrer`: a browser would then send forms without an Origin, and writes need one.
    ("Referrer-Policy", "same-origin"),
)
NAVIGATION = (
    ("overview", "Overview", "/console"),
    ("orders", "Orders", "/console/orders"),
    ("products", "Products", "/console/products"),
    ("customers", "Customers", "/console/customers"),
    ("reports", "Reports", "/console/reports"),
    ("log", "Log", "/console/log"),
    ("operations", "Operations", "/console/operations"),
)
# The parameters that links to other pages keep.
_KEPT = ("asOf",)


class PageValues(dict[str, Any]):
    """Parameters, values of a form, or errors by field; a missing one is an empty text."""

    def __missing__(self, _name: str) -> str:
        return ""


class Templates:
    """The templates, and the facts that all pages share.

    `last_position`: the newest position that this process has seen, the last one for `asOf`.
    """

    def __init__(self, settings: Settings, last_position: Callable[[], int]) -> None:
        self._last_position = last_position
        self._environment = Environment(
            loader=PackageLoader("storelog.console"),
            autoescape=True,
            # A misspelt name in a template is an error in tests, not an empty place on a page.
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(FILTERS)
        self._environment.globals.update(
            currency=settings.currency,
            version=__version__,
            navigation=NAVIGATION,
            places=frozenset(place for _, _, place in NAVIGATION),
            static=address,
        )

    def page(self, request: Request, template: str, status: int = 200, **facts: Any) -> Response:
        """Return a page; `facts` are the values in its template."""
        for name in ("values", "errors"):
            if name in facts:
                facts[name] = PageValues(facts[name])
        around = _around(request.path, request.query, request.caller)
        around |= {"travels": True, "last_position": self._last_position()}
        body = self._environment.get_template(template).render(**{**around, **facts})
        return Response(status, body.encode(), HEADERS, HTML)

    def error(
        self,
        error: StorelogError,
        path: str,
        correlation_id: str,
        headers: Mapping[str, str],
    ) -> Response:
        """Return the page of an error, with the same status as in the API."""
        problem = render(error, path, correlation_id)
        if problem.status == 401:
            return _to_sign_in(path, headers)
        slug = error.slug if isinstance(error, Refusal | Unavailable) else "internal-error"
        detail = getattr(error, "detail", "The request failed; the service's log has the cause.")
        fields = error.facts["errors"] if isinstance(error, InvalidFields) else []
        body = self._environment.get_template("error.html").render(
            **_around(path, {}, None),
            title=TITLES.get(slug, "Something went wrong"),
            detail=detail,
            fields=fields,
            status=problem.status,
            correlation_id=correlation_id,
        )
        kept = tuple(pair for pair in problem.headers if pair[0] in ("Retry-After", "Allow"))
        return Response(problem.status, body.encode(), (*HEADERS, *kept), HTML)

    def problem(self, request: Request, problem: Problem) -> Response:
        """Return the page of a problem from the Command Service or the projector."""
        body = self._environment.get_template("error.html").render(
            **_around(request.path, {}, request.caller),
            title=problem.title or "The service rejected this",
            detail=problem.detail,
            fields=[{"pointer": e.pointer, "detail": e.detail} for e in problem.errors],
            status=problem.status,
            correlation_id=problem.correlation_id or request.correlation_id,
        )
        return Response(problem.status, body.encode(), HEADERS, HTML)


def see_other(path: str, *more: tuple[str, str], **query: Any) -> Response:
    """Return the redirect after a form, so that reloading the page does not send it again."""
    asked = {name: value for name, value in query.items() if value is not None}
    place = path + (f"?{urlencode(asked)}" if asked else "")
    return Response(303, b"", (("Location", place), *HEADERS, *more), HTML)


def _to_sign_in(path: str, headers: Mapping[str, str]) -> Response:
    place = f"/console/sign-in?{urlencode({'next': path})}"
    if "hx-request" in headers:
        # htmx would insert the form into the current page; this header makes it load the new one.
        return Response(200, b"", (("HX-Redirect", place), *HEADERS), HTML)
    return see_other(place)


def _around(path: str, query: Mapping[str, str], caller: Caller | None) -> dict[str, Any]:
    kept = {name: query[name] for name in _KEPT if query.get(name)}
    now = utc_now()

    def link(place: str, /, **more: Any) -> str:
        """Return an address on this site that keeps the moment of the page."""
        asked = {**kept, **{name: value for name, value in more.items() if value not in (None, "")}}
        return place + (f"?{urlencode(asked)}" if asked else "")

    return {
        "path": path,
        "query": PageValues({name: value for name, value in query.items() if value}),
        "as_of": kept.get("asOf"),
        "caller": caller,
        "may_write": caller is not None and includes(caller, "write") and not kept,
        "may_administer": caller is not None and includes(caller, "admin"),
        "link": link,
        "age": lambda then: age(then, now),
        "now": now,
        "new_key": lambda: token_urlsafe(18),
        "errors": PageValues(),
        "message": None,
        "travels": False,
        "last_position": 0,
    }
