"""What the OpenAPI documents say about errors: each status with its slugs and its headers.

Next: web/openapi.py
"""

from http import HTTPStatus
from typing import Any

from storelog.web.http import Route
from storelog.web.problem_pages import ABOUT

_SECONDS = {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "description": "Seconds."}
_TEXT = {"schema": {"type": "string"}}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": _TEXT},
    409: {"Retry-After": _SECONDS},
    415: {"Accept": _TEXT, "Accept-Encoding": _TEXT},
    429: {"Retry-After": _SECONDS, "RateLimit": _TEXT, "RateLimit-Policy": _TEXT},
    503: {"Retry-After": _SECONDS},
}
CORRELATION: dict[str, Any] = {
    "X-Correlation-Id": {
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
        "description": "The request's own (or its X-Request-Id), else one made here.",
    }
}
_EVERYWHERE = {400, 408, 422, 431, 503}


def problem_responses(route: Route) -> dict[str, Any]:
    """Return every response of a route that is a problem, by status."""
    statuses = _EVERYWHERE | set(route.operation.errors)
    if not route.path.startswith("/health/"):
        statuses |= {421}
    if route.role != "public":
        statuses |= {401, 403}
    if not route.is_probe:
        statuses |= {429}
    if route.method != "GET":
        statuses |= {413}
    if route.operation.request is not None:
        statuses |= {415}
    if route.operation.request is not None or route.method == "DELETE":
        statuses |= {500}
    if "{" in route.path:
        statuses |= {404}
    return {str(status): _problem_response(status) for status in sorted(statuses)}


def _problem_response(status: int) -> dict[str, Any]:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(_slugs(status))}",
        "headers": {**CORRELATION, **_HEADERS.get(status, {})},
        "content": {"application/problem+json": problem},
    }


def _slugs(status: int) -> list[str]:
    return [slug for slug, (its_status, _) in ABOUT.items() if its_status == status]
