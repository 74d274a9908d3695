"""The Command Service's routes: each endpoint, the lowest role that may call it, its OpenAPI texts.

Next: command_service/api.py
"""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from storelog.command_service.api import CommandApi
from storelog.command_service.keys import KeysApi, key_routes
from storelog.command_service.leading.election import Election
from storelog.command_service.log_entry import log_entry_route
from storelog.command_service.log_pages import log_pages_route
from storelog.command_service.operations import operations_route
from storelog.command_service.reader import Reader
from storelog.shop.aggregate import Versions
from storelog.shop.commands import Command
from storelog.shop.customer import CreateCustomer, DeleteCustomer, NewCustomer, UpdateCustomer
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.shop.order import DeleteOrder, NewOrder, PlaceOrder
from storelog.shop.product import (
    AdjustStock,
    ChangedProduct,
    CreateProduct,
    DeleteProduct,
    NewProduct,
    StockAdjustment,
    UpdateProduct,
)
from storelog.web.http import Operation, Route

S = TypeVar("S", bound=Struct)
# A creation has no version to compare yet, so only changes and deletions take conditions.
_CONDITIONAL = ("Idempotency-Key", "If-Match", "If-None-Match")
_RESPONSE_HEADERS = ("ETag", "Storelog-Position", "Storelog-History", "Idempotency-Replayed")


def routes(election: Election, log: Reader, keys: KeysApi, query_url: str | None) -> list[Route]:
    """Return all routes; their handlers share one pipeline, one reader of the log and the keys."""
    api = CommandApi(election, query_url)
    stock = f"{_path(PRODUCT)}/stock-adjustments"
    return [
        _creates(api, CUSTOMER, CreateCustomer, NewCustomer, "Create a customer"),
        _replaces(api, CUSTOMER, UpdateCustomer, NewCustomer, "Replace a customer"),
        _deletes(api, CUSTOMER, DeleteCustomer, "Delete a customer"),
        _creates(api, PRODUCT, CreateProduct, NewProduct, "Create a product"),
        _replaces(api, PRODUCT, UpdateProduct, ChangedProduct, "Replace a product"),
        _deletes(api, PRODUCT, DeleteProduct, "Delete a product"),
        _posts(api, stock, PRODUCT, AdjustStock, StockAdjustment, "Adjust a product's stock"),
        _creates(api, ORDER, PlaceOrder, NewOrder, "Place an order"),
        _deletes(api, ORDER, DeleteOrder, "Delete an order; its stock goes back"),
        log_pages_route(log),
        log_entry_route(log),
        operations_route(log),
        *key_routes(keys),
    ]


def _path(entity: EntityKind) -> str:
    return f"/{entity.collection}/{{{entity.id_name}}}"


def _creates(
    api: CommandApi,
    entity: EntityKind,
    command: Callable[[int, S], Command],
    body: type[S],
    summary: str,
) -> Route:
    operation = Operation(
        summary,
        201,
        body.__name__,
        entity.structure.__name__,
        errors=(409,),
        headers=(*_RESPONSE_HEADERS, "Location"),
        request_headers=("Idempotency-Key",),
    )
    path = f"/{entity.collection}"
    return Route("POST", path, "write", api.creates(command, body), operation)


def _replaces(
    api: CommandApi,
    entity: EntityKind,
    command: Callable[[int, S, Versions | None], Command],
    body: type[S],
    summary: str,
) -> Route:
    handler = api.changes(entity, command, body)
    return Route("PUT", _path(entity), "write", handler, _changed(entity, body, summary))


def _posts(
    api: CommandApi,
    path: str,
    entity: EntityKind,
    command: Callable[[int, S, Versions | None], Command],
    body: type[S],
    summary: str,
) -> Route:
    handler = api.changes(entity, command, body)
    return Route("POST", path, "write", handler, _changed(entity, body, summary))


def _changed(entity: EntityKind, body: type[Struct], summary: str) -> Operation:
    return Operation(
        summary,
        200,
        body.__name__,
        entity.structure.__name__,
        errors=(409, 412),
        headers=_RESPONSE_HEADERS,
        request_headers=_CONDITIONAL,
    )


def _deletes(
    api: CommandApi,
    entity: EntityKind,
    command: Callable[[int, Versions | None], Command],
    summary: str,
) -> Route:
    operation = Operation(
        summary,
        204,
        errors=(409, 412),
        headers=_RESPONSE_HEADERS,
        request_headers=_CONDITIONAL,
    )
    return Route("DELETE", _path(entity), "write", api.deletes(entity, command), operation)
