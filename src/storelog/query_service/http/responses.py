"""Responses of all endpoints: each names the position of the log that it includes.

Next: read_models/customers/query.py
"""

from typing import Any

from storelog.errors import NotFound
from storelog.query_service.http.parameters import Range
from storelog.query_service.paging.keyset import make_cursor
from storelog.query_service.paging.page import Page
from storelog.query_service.positions.view import View
from storelog.shop.event_kinds import EntityKind
from storelog.shop.json_values import encode_json
from storelog.web.http import Request, Response

Document = dict[str, Any]


def respond(view: View, body: Document, etag: str | None = None) -> Response:
    """Return a response with a body and the headers that tell how fresh it is."""
    headers = view.place.headers()
    if etag is not None:
        headers = (("ETag", etag), *headers)
    return Response(200, encode_json(body), headers)


def respond_with_page(
    view: View, filters: Document, page: Page, items: list[Document], **more: Any
) -> Response:
    """Return a response with one page, the cursor of the next one, and `more` members."""
    cursor = None if page.next_key is None else make_cursor(filters, page.next_key)
    return respond(view, {"items": items, "nextCursor": cursor, **more})


def span_filter(span: Range) -> Document:
    """Return the range as part of the filters that a cursor is bound to."""
    return {"from": span.start, "to": span.end}


def moment_filter(request: Request) -> Document:
    """Return `asOf` as part of the filters that a cursor is bound to."""
    return {"asOf": request.query["asOf"]} if "asOf" in request.query else {}


def unknown(kind: EntityKind, number: int) -> NotFound:
    """Return the error for an entity that does not exist or is deleted."""
    return NotFound(f"There is no {kind.name} {number}.")
