"""What every service tells about itself: name, health, metrics, its OpenAPI document.

Next: web/openapi.py
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from storelog import __version__
from storelog.config import Settings
from storelog.shop.json_values import encode_json
from storelog.web import metrics
from storelog.web.http import Operation, Request, Response, Route
from storelog.web.openapi import DOCS_PAGE, document
from storelog.web.problem_pages import problem_routes

# However often metrics are scraped, PostgreSQL or MongoDB is asked once a second at most.
MEASURE_EVERY_SECONDS = 1.0
ReadFacts = Callable[[], Awaitable[Mapping[str, Any]]]
_STATUS = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "examples": ["ready"]}},
}
_TEXT = {"type": "string", "examples": ["0.1.0"]}
_CURRENCY = {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]}
ABOUT_SCHEMAS: dict[str, Any] = {
    "About": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "version", "currency"],
        "properties": {"name": _TEXT, "version": _TEXT, "currency": _CURRENCY},
    },
    "Health": _STATUS,
    "Document": {"type": "object", "required": ["openapi"], "properties": {"openapi": _TEXT}},
}


def about_body(name: str, settings: Settings) -> bytes:
    """Return the body of the response to `GET /`."""
    return encode_json({"name": name, "version": __version__, "currency": settings.currency})


def with_about(
    name: str,
    routes: Sequence[Route],
    settings: Settings,
    ready: ReadFacts,
    measure: Callable[[], Awaitable[None]],
    schemas: Mapping[str, Any],
) -> list[Route]:
    """Return the service's whole table: its own routes, and those that every service has."""
    about = about_body(name, settings)

    async def readiness(_request: Request) -> Response:
        return Response(200, encode_json({"status": "ready", **await ready()}))

    measured_at = 0.0

    async def show_metrics(_request: Request) -> Response:
        nonlocal measured_at
        if time.monotonic() - measured_at > MEASURE_EVERY_SECONDS:
            measured_at = time.monotonic()
            await measure()
        return Response(200, metrics.exposition(), (), metrics.CONTENT_TYPE)

    # The document describes its own route too, so its bytes are made after this handler.
    async def show_document(_request: Request) -> Response:
        return Response(200, openapi)

    table = [
        *routes,
        _get("/", "public", _constant(about), "Name, version, currency", "About"),
        _get(
            "/health/live",
            "public",
            _constant(b'{"status":"live"}'),
            "Whether the process is alive",
            "Health",
        ),
        _get("/health/ready", "public", readiness, "Whether the process is ready", "Health"),
        _get("/metrics", "read", show_metrics, "Prometheus", None, metrics.CONTENT_TYPE),
        _get("/openapi.json", "public", show_document, "This document", "Document"),
        _get("/docs", "public", _constant(DOCS_PAGE, _HTML), "This document, to read", None, _HTML),
    ]
    openapi = encode_json(document(name, table, {**ABOUT_SCHEMAS, **schemas}))
    return [*table, *problem_routes()]


_HTML = "text/html; charset=utf-8"
StarletteHandler = Callable[[Request], Awaitable[Response]]


def _get(
    path: str,
    role: str,
    handler: StarletteHandler,
    summary: str,
    response: str | None,
    content_type: str = "application/json",
) -> Route:
    operation = Operation(summary, response=response, content_type=content_type)
    return Route("GET", path, role, handler, operation)


def _constant(body: bytes, content_type: str = "application/json") -> StarletteHandler:
    response = Response(200, body, (), content_type)

    async def respond(_request: Request) -> Response:
        return response

    return respond
