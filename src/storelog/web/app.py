"""The ASGI application of both services: routing, keys, limits, problems, health.

Guarantees that every error is a problem document, that a body has a limit in bytes and in time,
and that ids and parameters are checked before a handler sees them.
Next: command_service/api.py
"""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import structlog

from storelog import tracing
from storelog.config import Settings
from storelog.errors import (
    InvalidFields,
    Malformed,
    NotFound,
    ProtocolRefusal,
    StorelogError,
    Unavailable,
)
from storelog.web import request_metrics, traced
from storelog.web.about import ReadFacts, with_about
from storelog.web.admission import EXTRA, Admission
from storelog.web.body import Bodies
from storelog.web.connections import client_of
from storelog.web.heads import check_head, join_repeated
from storelog.web.http import AnyResponse, Request, Response, Route, Stream
from storelog.web.keyring import Keyring
from storelog.web.openapi import DOCS_POLICY
from storelog.web.problems import render
from storelog.web.representation import Representation
from storelog.web.sessions import Pages
from storelog.web.streaming import send_stream

MAX_ID = 2**63 - 1
_POLICY = (b"content-security-policy", DOCS_POLICY.encode())
_ID = re.compile(r"[1-9][0-9]{0,18}")
_CORRELATION = re.compile(r"[\x21-\x7e]{1,128}")
_log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
# Each route with the names of its ids, in their order.
_Table = dict[tuple[str, ...], dict[str, tuple[Route, list[str]]]]


async def _nothing() -> None:
    return None


class App:
    """One service: its table of routes, and what every service has beside it."""

    def __init__(
        self,
        name: str,
        routes: Iterable[Route],
        settings: Settings,
        ready: ReadFacts,
        *,
        schemas: Mapping[str, Any] | None = None,
        measure: Callable[[], Awaitable[None]] = _nothing,
        keyring: Keyring | None = None,
        pages: Pages | None = None,
        on_startup: Callable[[], Awaitable[None]] = _nothing,
        on_shutdown: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self.name = name
        self._keyring = keyring or Keyring(settings.api_keys)
        self._admission = Admission(
            settings, self._keyring, None if pages is None else pages.sessions
        )
        self._in_flight, self._max_in_flight = 0, settings.max_requests_in_flight
        self._bodies = Bodies()
        self._on_startup, self._on_shutdown = on_startup, on_shutdown
        self._representation = Representation()
        table = with_about(name, list(routes), settings, ready, measure, schemas or {})
        # Pages are for people: the OpenAPI document does not list them. A page for / replaces the
        # JSON there, so pages come last.
        self._table = _tabulate([*table, *(() if pages is None else pages.routes)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event, as ASGI says."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope["state"], receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        repeated = join_repeated(headers, scope["headers"])
        began = time.perf_counter()
        # The id goes into logs and headers, so a client's own must be short and printable.
        given = headers.get("x-correlation-id") or headers.get("x-request-id") or ""
        correlation_id = given if given and _CORRELATION.fullmatch(given) else os.urandom(16).hex()
        self._in_flight += 1
        try:
            if self._in_flight > self._max_in_flight:
                raise Unavailable("Too many requests are being worked on.", slug="overloaded")
            check_head(headers, repeated, scope["http_version"])
            response: AnyResponse = await self._respond(scope, headers, correlation_id, receive)
        except StorelogError as error:
            response = self._error_response(error, scope, correlation_id, headers)
            if response.status == 500:
                request_metrics.SERVER_ERRORS.of().add()
                facts = {"correlation_id": correlation_id, "error": repr(error)}
                _log.error("request failed", **facts, is_always=True)
        except Exception:  # noqa: BLE001  nothing catches it later: the client gets a 500
            request_metrics.SERVER_ERRORS.of().add()
            _log.exception("request failed", correlation_id=correlation_id, is_always=True)
            response = self._error_response(StorelogError(), scope, correlation_id, headers)
        finally:
            self._in_flight -= 1
        request_metrics.count(scope.get("storelog.route"), response, time.perf_counter() - began)
        await _send(response, correlation_id, scope, send)
        if isinstance(response, Stream) and scope["method"] != "HEAD":
            # A stream outlives the check of its key, so the key is checked again and again.
            revoked = self._admission.until_revoked(headers, scope)
            with request_metrics.streaming():
                await send_stream(response, scope["state"], revoked, receive, send)

    async def _respond(
        self, scope: Scope, headers: Mapping[str, str], correlation_id: str, receive: Receive
    ) -> AnyResponse:
        self._admission.check_host(scope["path"], headers)
        preflight = self._admission.preflight(scope, headers)
        if preflight is not None:
            return preflight
        path = scope["path"]
        route, ids = self._route(scope["method"], path, scope.get("raw_path"))
        scope["storelog.route"] = route
        admission = self._admission
        caller = admission.caller(route, headers, scope)
        if caller is None:
            caller = await admission.token_caller(headers)
        admission.admit(caller, route, scope)
        raw_query = scope["query_string"]
        query = _query(raw_query, route) if raw_query else _NO_QUERY
        body = b""
        if scope["method"] in ("POST", "PUT", "DELETE"):
            body = await self._bodies.read(scope, headers, receive)
        traceparent = headers.get("traceparent", "")
        parent = traceparent if tracing.is_traceparent(traceparent) else None
        request = Request(
            scope["method"],
            path,
            ids,
            query,
            headers,
            body,
            caller,
            correlation_id,
            parent,
            client_of(scope.get("client")),
        )
        traces = tracing.is_on() and route.role != "public"
        response = await (traced.respond(route, request) if traces else route.handler(request))
        if route.has_tag and isinstance(response, Response) and _is_json(response):
            return await self._representation.choose(headers, response)
        return response

    def _route(
        self, method: str, path: str, raw_path: bytes | None
    ) -> tuple[Route, dict[str, int]]:
        parts = path.split("/")[1:]
        # An encoded slash would make another path for a proxy in front than for this service.
        if len(parts) > 4 or (raw_path is not None and b"%2f" in raw_path.lower()):
            raise NotFound
        ids = [part for part in parts if part[:1].isdigit()]
        shape = tuple("#" if part[:1].isdigit() else part for part in parts)
        methods = self._table.get(shape)
        # An id beyond 64 bits can be no entity's: 404, and no query that PostgreSQL must reject.
        if methods is None or not all(_ID.fullmatch(i) and int(i) <= MAX_ID for i in ids):
            raise NotFound
        found = methods.get("GET" if method == "HEAD" else method)
        if found is None:
            allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
            detail = f"Allowed here: {allowed}."
            raise ProtocolRefusal(405, "method-not-allowed", detail, [("Allow", allowed)])
        route, names = found
        return route, dict(zip(names, map(int, ids), strict=True))

    def _error_response(
        self, error: StorelogError, scope: Scope, correlation_id: str, headers: Mapping[str, str]
    ) -> Response:
        """Return the problem document of an error, or the page of a route that has its own.

        A path that does not exist gets the error page of the path above it, such as `/console`.
        """
        path = scope["path"]
        route: Route | None = scope.get("storelog.route")
        if route is None:
            route, _ = self._table.get(tuple(path.split("/")[1:2]), {}).get("GET", (None, ()))
        if route is None or route.render_error is None:
            return render(error, path, correlation_id)
        return route.render_error(error, path, correlation_id, headers)

    async def _lifespan(self, state: dict[str, Any], receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                state["stopping"] = asyncio.Event()
                await self._on_startup()
                await self._keyring.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._keyring.stop()
                await self._on_shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return


_NO_QUERY: dict[str, str] = {}


def _tabulate(routes: Iterable[Route]) -> _Table:
    table: _Table = {}
    for route in routes:
        parts = route.path.split("/")[1:]
        shape = tuple("#" if part.startswith("{") else part for part in parts)
        names = re.findall(r"\{(\w+)\}", route.path)
        table.setdefault(shape, {})[route.method] = route, names
    return table


def _query(raw: bytes, route: Route) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), True, strict_parsing=True, errors="strict", max_num_fields=50
        )
    except ValueError as error:
        raise Malformed("The query string cannot be read.") from error
    wrong = [
        (f"?{name}", "is not known here") for name, _ in pairs if name not in route.operation.query
    ]
    if len(dict(pairs)) != len(pairs):
        wrong.append(("?", "has a parameter twice"))
    wrong += [(f"?{name}", "has a NUL character") for name, value in pairs if "\0" in value]
    if wrong:
        raise InvalidFields(wrong)
    return dict(pairs)


def _is_json(response: Response) -> bool:
    return response.status == 200 and response.content_type == "application/json"


async def _send(response: AnyResponse, correlation_id: str, scope: Scope, send: Send) -> None:
    """Send a whole response, or the head of a stream."""
    is_head = scope["method"] == "HEAD"
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"x-correlation-id", correlation_id.encode()))
    if all(name != _POLICY[0] for name, _ in headers):
        headers.append(_POLICY)
    if EXTRA in scope:
        headers += scope[EXTRA]
    if isinstance(response, Stream):
        headers.append((b"content-type", response.content_type.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if is_head:
            await send({"type": "http.response.body", "body": b""})
        return
    if response.status not in (204, 304):
        headers.append((b"content-type", response.content_type.encode()))
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else response.body})
