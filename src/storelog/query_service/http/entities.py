"""One customer or product by its id, and the lists of them. Next: query_service/paging/by_id.py"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from storelog.documents.forms import body_of
from storelog.query_service.http.parameters import COUNT, PAGE, SEARCH, Parameters
from storelog.query_service.http.responses import (
    Document,
    moment_filter,
    respond,
    respond_with_page,
    unknown,
)
from storelog.query_service.paging import by_id
from storelog.query_service.paging.by_id import WantedEntities
from storelog.query_service.paging.keyset import PageKey, read_cursor
from storelog.query_service.paging.page import Page, count
from storelog.query_service.positions.freshness import open_view, patience
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.shop.event_kinds import EntityKind
from storelog.shop.fields import unique_fields_of
from storelog.shop.value_schemas import written
from storelog.web.http import Handler, Request, Response

# Returns a list's own filters for a request, by the names in documents.
Match = Callable[[Request], Document]


def _everything(_: Request) -> Document:
    return {}


def get(reads: Reads, kind: EntityKind) -> Handler:
    """Return the handler of one entity by its id."""

    async def handle(request: Request) -> Response:
        number = request.ids[kind.id_name]
        async with reading_mongodb(patience(request)):
            view = await open_view(reads, request, kind.name_of(number))
            found = await view.one(kind.collection, number)
        if found is None:
            raise unknown(kind, number)
        return respond(view, body_of(kind.structure, found), f'"{found["version"]}"')

    return handle


def list_all(reads: Reads, kind: EntityKind, match_of: Match = _everything) -> Handler:
    """Return the handler of the list of a kind of entity, by id and by words."""

    async def handle(request: Request) -> Response:
        match = match_of(request)
        parameters = Parameters(request.query)
        limit, is_counted = parameters.limit(), parameters.flag("count")
        words, sort = parameters.words(), parameters.sort("id", "-id")
        exact = parameters.unique(kind.structure)
        parameters.done()
        # A cursor holds a hash of these: with other filters it would skip entities silently.
        filters = {"list": kind.collection, "q": " ".join(map("-".join, words)), "sort": sort}
        filters |= {**match, **exact, **moment_filter(request)}
        after = read_cursor(request.query.get("cursor"), filters, 1)
        wanted = WantedEntities(kind, match, words, exact, sort == "-id")
        async with reading_mongodb(patience(request)):
            view = await open_view(reads, request)

            async def find(after: PageKey | None, limit: int) -> Page:
                return await by_id.page(view, replace(wanted, is_counting=True), after, limit)

            page = await by_id.page(view, wanted, after, limit)
            more = await count(find) if is_counted else {}
        items = [body_of(kind.structure, found) for found in page.documents]
        return respond_with_page(view, filters, page, items, **more)

    return handle


def list_parameters(kind: EntityKind) -> dict[str, dict[str, Any]]:
    """Return the parameters of such a list; a unique value finds the one entity that has it."""
    unique = {
        field.json: {**written(field.kind), "description": f"The {kind.name} with this value."}
        for field in unique_fields_of(kind.structure)
    }
    return {**PAGE, **SEARCH, **COUNT, **unique}
