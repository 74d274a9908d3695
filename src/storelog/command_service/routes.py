"""The Command Service's table: every endpoint, the least role that may call it, what it says.

Next: command_service/api.py
"""

from typing import Any

from storelog.command_service.api import MAX_EVENTS, CommandApi
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.reader import Reader
from storelog.shop.events import AGGREGATE_NAME
from storelog.shop.kinds import MAX_ID
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

CUSTOMER, PRODUCT, ORDER = "/customers/{customerId}", "/products/{productId}", "/orders/{orderId}"


def routes(pipeline: Pipeline, log: Reader, query_url: str | None) -> list[Route]:
    """Return the table, its handlers around one pipeline and a reader of the log."""
    api = CommandApi(pipeline, log, query_url)
    read_log = Operation(
        "Read the log", 200, None, "Events", _EVENTS_QUERY, headers=("Storelog-Position",)
    )
    return [
        _creates("/customers", api.create_customer, "Create a customer", "Customer"),
        _changes("PUT", CUSTOMER, api.update_customer, "Replace a customer", "NewCustomer"),
        _changes("DELETE", CUSTOMER, api.delete_customer, "Delete a customer"),
        _creates("/products", api.create_product, "Create a product", "Product"),
        _changes("PUT", PRODUCT, api.update_product, "Replace a product", "ChangedProduct"),
        _changes("DELETE", PRODUCT, api.delete_product, "Delete a product"),
        _adjusts(f"{PRODUCT}/stock-adjustments", api.adjust_stock, "Adjust a product's stock"),
        _creates("/orders", api.place_order, "Place an order", "Order"),
        _deletes(ORDER, api.delete_order, "Delete an order; its stock goes back"),
        Route("GET", "/events", "read", api.list_events, read_log),
    ]


def _creates(path: str, handler: Handler, summary: str, body: str) -> Route:
    operation = Operation(
        summary,
        201,
        f"New{body}",
        body,
        refusals=(409,),
        headers=(*_ANSWERED, "Location"),
        request_headers=("Idempotency-Key",),
    )
    return Route("POST", path, "write", handler, operation)


def _changes(
    method: str, path: str, handler: Handler, summary: str, request: str | None = None
) -> Route:
    answer = "Customer" if path == CUSTOMER else "Product"
    operation = Operation(
        summary,
        200 if request else 204,
        request,
        answer if request else None,
        refusals=(409, 412),
        headers=_ANSWERED,
        request_headers=_CONDITIONAL,
    )
    return Route(method, path, "write", handler, operation)


def _adjusts(path: str, handler: Handler, summary: str) -> Route:
    operation = Operation(
        summary,
        200,
        "StockAdjustment",
        "Product",
        refusals=(409, 412),
        headers=_ANSWERED,
        request_headers=_CONDITIONAL,
    )
    return Route("POST", path, "write", handler, operation)


def _deletes(path: str, handler: Handler, summary: str) -> Route:
    operation = Operation(
        summary, 204, refusals=(409, 412), headers=_ANSWERED, request_headers=_CONDITIONAL
    )
    return Route("DELETE", path, "write", handler, operation)
