"""GET /events: pages of the log, oldest or newest first, whole or filtered.

Next: command_service/log_reader.py
"""

import re
from typing import Any
from uuid import UUID

import asyncpg

from storelog.command_service import log_reader
from storelog.command_service.log_search import Wanted, search_down, search_up
from storelog.command_service.reader import Reader
from storelog.envelope import Envelope
from storelog.errors import InvalidFields
from storelog.event_codec import event_body
from storelog.log_history import HEADER
from storelog.shop.events import AGGREGATE_NAME, ENTITIES, EVENT_TYPES
from storelog.shop.json_values import encode_json
from storelog.shop.kinds import MAX_ID
from storelog.web.http import Operation, Request, Response, Route

MAX_EVENTS = 1_000
MAX_TEXT = 200
_AGGREGATE = re.compile(AGGREGATE_NAME)
_NAMES = " or ".join(f"{entity.name}-N" for entity in ENTITIES)
_TEXT: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_TEXT,
    "pattern": r"^[^\u0000]*$",
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_QUERY: dict[str, dict[str, Any]] = {
    "aggregate": {"type": "string", "pattern": f"^{AGGREGATE_NAME}$"},
    "after": {"type": "integer", "minimum": 0, "maximum": MAX_ID},
    "before": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_ID,
        "description": "Events below this position, and above `after`, the newest first.",
    },
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_EVENTS,
        "default": 100,
        "description": "The most events in a page, which also ends at 2 MiB or after 0.4 s.",
    },
    "eventType": {"enum": list(EVENT_TYPES)},
    "caller": {**_TEXT, "description": "The API key's name."},
    "correlationId": _TEXT,
    "eventId": {"type": "string", "format": "uuid"},
}
Errors = list[tuple[str, str]]


def log_pages_route(log: Reader) -> Route:
    """Return the route."""

    async def show(request: Request) -> Response:
        """GET /events"""
        errors: Errors = []
        wanted = _wanted(request, errors)
        after = _number(request, "after", 0, MAX_ID, 0, errors)
        before = _number(request, "before", 1, MAX_ID, MAX_ID, errors)
        limit = _number(request, "limit", 1, MAX_EVENTS, 100, errors)
        is_down = "before" in request.query
        if errors:
            raise InvalidFields(errors)

        headers: list[tuple[str, str]] = []

        async def read(connection: asyncpg.Connection) -> tuple[list[Envelope], int | None]:
            # Read first, so that the page contains everything up to the position that it names.
            head, history = await log_reader.read_head(connection)
            headers[:] = [("Storelog-Position", str(head)), (HEADER, history)]
            if is_down:
                return await search_down(connection, wanted, after, min(before - 1, head), limit)
            if not wanted.is_any:
                return await search_up(connection, wanted, after, head, limit)
            named = request.query.get("aggregate")
            return await log_reader.read_page(connection, named, after, limit)

        events, at = await log.read(read)
        # The payloads are spliced in as they were stored: decoding them would cost time, and could
        # change their bytes.
        items = b",".join(event_body(event) for event in events)
        further = {"nextAfter": None, "nextBefore": at} if is_down else {"nextAfter": at}
        body = b'{"items":[%b],%b' % (items, encode_json(further)[1:])
        return Response(200, body, tuple(headers))

    operation = Operation(
        "Read the log", 200, None, "Events", _QUERY, headers=("Storelog-Position", HEADER)
    )
    return Route("GET", "/events", "read", show, operation)


def _wanted(request: Request, errors: Errors) -> Wanted:
    query = request.query
    aggregate = query.get("aggregate")
    named = None
    if aggregate is not None:
        kind, _, number = aggregate.rpartition("-")
        if _AGGREGATE.fullmatch(aggregate) and int(number) <= MAX_ID:
            named = (kind, int(number))
        else:
            errors.append(("?aggregate", f"must be {_NAMES}"))
    event_type = query.get("eventType")
    if event_type is not None and event_type not in EVENT_TYPES:
        errors.append(("?eventType", f"must be one of {', '.join(EVENT_TYPES)}"))
    for name in ("caller", "correlationId"):
        if name in query and not 1 <= len(query[name]) <= MAX_TEXT:
            errors.append((f"?{name}", f"must have 1 to {MAX_TEXT} characters"))
    event_id = query.get("eventId")
    if event_id is not None and not _UUID.fullmatch(event_id):
        errors.append(("?eventId", "must be a UUID"))
        event_id = None
    return Wanted(
        event_type,
        query.get("caller"),
        query.get("correlationId"),
        None if event_id is None else UUID(event_id),
        named,
    )


def _number(request: Request, name: str, low: int, high: int, default: int, errors: Errors) -> int:
    given = request.query.get(name)
    if given is None:
        return default
    if not re.fullmatch(r"\d{1,19}", given, re.ASCII) or not low <= int(given) <= high:
        errors.append((f"?{name}", f"must be a whole number from {low} to {high}"))
        return default
    return int(given)
