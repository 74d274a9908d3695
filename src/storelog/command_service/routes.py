"""The Command Service's table: every endpoint, the least role that may call it, what it says.

Next: command_service/api.py
"""

from typing import Any

from msgspec import Struct

from storelog.command_service.api import MAX_EVENTS, CommandApi
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.reader import Reader
from storelog.shop.customer import NewCustomer
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import AGGREGATE_NAME, CUSTOMER, ORDER, PRODUCT
from storelog.shop.kinds import MAX_ID
from storelog.shop.order import NewOrder
from storelog.shop.product import ChangedProduct, NewProduct, Product, StockAdjustment
from storelog.web.http import Handler, Operation, Route

_EVENTS_QUERY: dict[str, dict[str, Any]] = {
    "aggregate": {"type": "string", "pattern": f"^{AGGREGATE_NAME}$"},
    "after": {"type": "integer", "minimum": 0, "maximum": MAX_ID},
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_EVENTS,
        "default": 100,
        "description": "At most so many; a page also ends at 2 MiB of payloads, or after 0.4 s.",
    },
}
_CONDITIONAL = ("Idempotency-Key", "If-Match", "If-None-Match")
_ANSWERED = ("ETag", "Storelog-Position", "Idempotency-Replayed")


def routes(pipeline: Pipeline, log: Reader, query_url: str | None) -> list[Route]:
    """Return the table, its handlers around one pipeline and a reader of the log."""
    api = CommandApi(pipeline, log, query_url)
    read_log = Operation(
        "Read the log", 200, None, "Events", _EVENTS_QUERY, headers=("Storelog-Position",)
    )
    adjusted = f"{_one(PRODUCT)}/stock-adjustments"
    return [
        _creates(CUSTOMER, api.create_customer, "Create a customer", NewCustomer),
        _replaces(CUSTOMER, api.update_customer, "Replace a customer", NewCustomer),
        _deletes(CUSTOMER, api.delete_customer, "Delete a customer"),
        _creates(PRODUCT, api.create_product, "Create a product", NewProduct),
        _replaces(PRODUCT, api.update_product, "Replace a product", ChangedProduct),
        _deletes(PRODUCT, api.delete_product, "Delete a product"),
        Route(
            "POST",
            adjusted,
            "write",
            api.adjust_stock,
            _changes("Adjust a product's stock", StockAdjustment, Product),
        ),
        _creates(ORDER, api.place_order, "Place an order", NewOrder),
        _deletes(ORDER, api.delete_order, "Delete an order; its stock goes back"),
        Route("GET", "/events", "read", api.list_events, read_log),
    ]


def _one(entity: EntityKind) -> str:
    return f"/{entity.collection}/{{{entity.id_name}}}"


def _creates(entity: EntityKind, handler: Handler, summary: str, said: type[Struct]) -> Route:
    operation = Operation(
        summary,
        201,
        said.__name__,
        entity.structure.__name__,
        refusals=(409,),
        headers=(*_ANSWERED, "Location"),
        request_headers=("Idempotency-Key",),
    )
    return Route("POST", f"/{entity.collection}", "write", handler, operation)


def _replaces(entity: EntityKind, handler: Handler, summary: str, said: type[Struct]) -> Route:
    operation = _changes(summary, said, entity.structure)
    return Route("PUT", _one(entity), "write", handler, operation)


def _changes(summary: str, said: type[Struct], answer: type[Struct]) -> Operation:
    return Operation(
        summary,
        200,
        said.__name__,
        answer.__name__,
        refusals=(409, 412),
        headers=_ANSWERED,
        request_headers=_CONDITIONAL,
    )


def _deletes(entity: EntityKind, handler: Handler, summary: str) -> Route:
    operation = Operation(
        summary, 204, refusals=(409, 412), headers=_ANSWERED, request_headers=_CONDITIONAL
    )
    return Route("DELETE", _one(entity), "write", handler, operation)
