"""The history of one entity: who changed what and when, newest event first, in pages.

It is read from the entity's buckets, each readable alone. An order's two events are in its own
document. A deleted entity keeps its history.
Next: query_service/past/buckets.py
"""

from typing import Any

from storelog.documents.forms import body_of
from storelog.documents.histories import KEPT
from storelog.envelope import format_time
from storelog.query_service.http.parameters import Parameters
from storelog.query_service.http.responses import (
    Document,
    moment_filter,
    respond_with_page,
    unknown,
)
from storelog.query_service.paging.keyset import read_cursor
from storelog.query_service.paging.page import Page
from storelog.query_service.past.buckets import EntityEvent, events_down_from, state_at
from storelog.query_service.positions.freshness import open_view, patience
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.query_service.positions.view import View
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import KINDS
from storelog.shop.fields import fields_of
from storelog.shop.order import Order, OrderCreated, OrderDeleted
from storelog.web.http import Handler, Request, Response

ORDER_FIELDS = tuple(field.json for field in fields_of(Order)[1:])


class HistoryApi:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def of(self, kind: EntityKind) -> Handler:
        """Return the handler of GET /history/{collection}/{id}."""

        async def handle(request: Request) -> Response:
            return await self._get(request, kind)

        return handle

    async def _get(self, request: Request, kind: EntityKind) -> Response:
        number = request.ids[kind.id_name]
        parameters = Parameters(request.query)
        limit = parameters.limit()
        parameters.done()
        name = kind.name_of(number)
        filters = {"list": "history", "of": name, **moment_filter(request)}
        after = read_cursor(request.query.get("cursor"), filters, 1)
        async with reading_mongodb(patience(request)):
            view = await open_view(self._reads, request, name)
            found = (await view.many(kind.collection, [number])).get(number)
            if found is None or "created" not in found:
                raise unknown(kind, number)
            read = _of_versions if kind in KEPT else _of_order
            events, set_by = await read(view, found, name, after[0] if after else None, limit + 1)
        more = len(events) > limit
        page = Page([], [events[limit - 1].version] if more else None)
        items = [_body(event) for event in events[:limit]]
        return respond_with_page(view, filters, page, items, lastSetBy=set_by)


async def _of_versions(
    view: View, found: Document, name: str, below: int | None, count: int
) -> tuple[list[EntityEvent], dict[str, int]]:
    newest = int(found["version"])
    # A client can send any cursor, so it must not reach beyond the view's moment.
    highest = newest if below is None else min(below - 1, newest)
    events = await events_down_from(view, name, found, highest, count)
    state = await state_at(view, name, found, newest)
    set_by = dict(state.set_by)
    if found["deleted"]:
        set_by["deleted"] = int(found["removed"]["position"])
    return events, set_by


async def _of_order(
    _view: View, found: Document, _name: str, below: int | None, count: int
) -> tuple[list[EntityEvent], dict[str, int]]:
    body = body_of(Order, found)
    created = found["created"]
    changed = [(field, None, body[field]) for field in ORDER_FIELDS]
    events = [_order_event(1, OrderCreated.__name__, created, changed)]
    set_by = dict.fromkeys(ORDER_FIELDS, int(created["position"]))
    if found["deleted"]:
        events.insert(0, _order_event(2, OrderDeleted.__name__, found["removed"], []))
        set_by["deleted"] = int(found["removed"]["position"])
    return [e for e in events if below is None or e.version < below][:count], set_by


def _order_event(
    version: int, event_type: str, origin: Document, changed: list[Any]
) -> EntityEvent:
    return EntityEvent(
        int(origin["position"]),
        version,
        event_type,
        origin["recordedAt"],
        origin["caller"],
        origin["correlationId"],
        changed,
        {},
    )


def _body(event: EntityEvent) -> Document:
    changed = [{"field": f, "from": before, "to": after} for f, before, after in event.changed]
    if KINDS[event.event_type].ends:
        changed.append({"field": "deleted", "from": False, "to": True})
    return {
        "position": event.position,
        "version": event.version,
        "eventType": event.event_type,
        "recordedAt": format_time(event.recorded_at),
        "caller": event.caller,
        "correlationId": event.correlation_id,
        "changed": changed,
        "about": event.about,
    }
