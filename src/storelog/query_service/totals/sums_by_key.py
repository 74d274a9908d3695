"""The sums of a totals read model, added over all lanes, for one key or a page of keys.

Next: read_models/totals.py
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from storelog.query_service.http.parameters import Parameters
from storelog.query_service.http.responses import respond
from storelog.query_service.http.route_parts import MONEY
from storelog.query_service.paging.keyset import make_cursor, read_key_cursor
from storelog.query_service.positions.freshness import open_view
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.query_service.positions.view import Document, View
from storelog.read_models.totals import Sum, TotalKey, TotalsModel, number_in, plus
from storelog.shop.money import format_money
from storelog.shop.value_schemas import COUNT, strict_object
from storelog.web.http import Handler, Request, Response


@dataclass(frozen=True, slots=True)
class Totals:
    """A key with its sums, added over all lanes."""

    key: TotalKey
    numbers: Mapping[str, Any]


def list_totals(reads: Reads, model: TotalsModel, key_name: str) -> Handler:
    """Return the handler of a list of sums by key, in the order of the keys.

    Each item has the key, under `key_name`, and the sums. Keys whose sums are all 0 are left out.
    """

    async def handle(request: Request) -> Response:
        parameters = Parameters(request.query)
        limit = parameters.limit()
        parameters.done()
        filters: Document = {"list": model.collection}
        after = read_key_cursor(request.query.get("cursor"), filters, model.keys)
        async with reading_mongodb():
            view = await open_view(reads, request)
            found = [each async for each in _first(view, model, after, limit + 1)]
        is_last = len(found) <= limit
        cursor = None if is_last else make_cursor(filters, [found[limit - 1].key])
        sums = [(each, _is_kept(view, model, each)) for each in model.sums]
        items = [{key_name: each.key, **_shown(each, sums)} for each in found[:limit]]
        return respond(view, {"items": items, "nextCursor": cursor})

    return handle


def totals_schema(model: TotalsModel, key_name: str, key: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an item of such a list; `key`: the schema of a key."""
    schemas = {"count": COUNT, "amount": MONEY}
    sums = {each.name: schemas[each.kind] for each in model.sums}
    return strict_object(**{key_name: key, **sums})


def _is_kept(view: View, model: TotalsModel, one: Sum) -> bool:
    """Tell whether the shape with which the read model was filled has a sum."""
    return one in model.sums_of(view.place.shape_of(model))


def _shown(totals: Totals, sums: list[tuple[Sum, bool]]) -> Document:
    shown: Document = {}
    for each, is_kept in sums:
        number = totals.numbers[each.name]
        as_shown = number if each.kind == "count" else format_money(Decimal(number))
        shown[each.name] = as_shown if is_kept else each.before
    return shown


async def _first(
    view: View, model: TotalsModel, after: TotalKey | None, count: int
) -> AsyncIterator[Totals]:
    """Yield the first `count` keys after one."""
    # Documents are ordered by key, so the lanes of one key come together.
    some = {} if after is None else {"key": {"$gt": after}}
    documents = view.collection(model.collection).find(some, sort=[("key", 1)], batch_size=count)
    yielded, totals = 0, None
    async with documents:
        async for document in documents:
            if totals is not None and document["key"] == totals.key:
                totals = _with(totals, document, model)
                continue
            if totals is not None and any(totals.numbers.values()):
                yield totals
                yielded += 1
                if yielded == count:
                    return
            totals = _with(Totals(_plain(document["key"]), {}), document, model)
    if totals is not None and any(totals.numbers.values()):
        yield totals


def _plain(key: Any) -> TotalKey:
    return int(key) if isinstance(key, int) else str(key)


def _with(totals: Totals, document: Document, model: TotalsModel) -> Totals:
    numbers = {
        each.name: plus(totals.numbers.get(each.name, 0), number_in(document.get(each.name, 0)))
        for each in model.sums
    }
    return Totals(totals.key, numbers)
