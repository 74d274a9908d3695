"""GET /orders, GET /orders/{orderId}, GET /customers/{customerId}/orders.

Orders are listed newest or oldest first. An order shows its customer's current name.
Next: read_models/orders/finding.py
"""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from storelog.documents.forms import body_of
from storelog.query_service.http.parameters import COUNT, PAGE, RANGE, Parameters
from storelog.query_service.http.parameters import CUSTOMER as OF_CUSTOMER
from storelog.query_service.http.parameters import PRODUCT as OF_PRODUCT
from storelog.query_service.http.responses import (
    Document,
    moment_filter,
    respond,
    respond_with_page,
    span_filter,
    unknown,
)
from storelog.query_service.http.route_parts import ANN_OR_NULL, many, one, page_schema
from storelog.query_service.paging.keyset import read_cursor
from storelog.query_service.paging.page import count
from storelog.query_service.positions.freshness import check_also, open_view, patience
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.query_service.positions.view import View
from storelog.read_models.orders.finding import ITS_PRODUCT, find_orders
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.shop.json_schema import response_schema
from storelog.shop.json_values import encode_json
from storelog.shop.order import Order
from storelog.shop.value_schemas import strict_object
from storelog.web.http import Request, Response, Route

_SORT: dict[str, Any] = {
    "enum": ["-orderDate", "orderDate"],
    "default": "-orderDate",
    "description": "With productId, only -orderDate.",
}


def with_name(order: Document, customer_name: Any) -> Document:
    """Return the members of an order, with its customer's name after the customer's id."""
    members: Document = {}
    for name, value in order.items():
        members[name] = value
        if name == CUSTOMER.id_name:
            members["customerName"] = customer_name
    return members


SCHEMAS: dict[str, Any] = {
    "Order": strict_object(**with_name(response_schema(Order)["properties"], ANN_OR_NULL)),
    "Orders": page_schema("Order"),
}


async def bodies_of(view: View, orders: Sequence[Document]) -> list[Document]:
    """Return orders' bodies, each with its customer's name."""
    buyer = CUSTOMER.id_name
    names = await view.names(CUSTOMER.collection, (order[buyer] for order in orders))
    return [with_name(body_of(Order, order), names.get(order[buyer])) for order in orders]


class Orders:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def get(self, request: Request) -> Response:
        """GET /orders/{orderId}"""
        number = request.ids[ORDER.id_name]
        async with reading_mongodb(patience(request)):
            view = await open_view(self._reads, request, ORDER.name_of(number))
            found = await view.one(ORDER.collection, number)
            if found is None:
                raise unknown(ORDER, number)
            # The body shows the customer's current name, so a customer whose events are missing
            # makes this response incomplete as well.
            await check_also(request, view, CUSTOMER.name_of(found[CUSTOMER.id_name]))
            [body] = await bodies_of(view, [found])
        # A command may name the version. The hash changes with the customer's name, which can
        # change while the order's version stays.
        hashed = sha256(encode_json(body)).hexdigest()[:32]
        return respond(view, body, f'"{found["version"]}-{hashed}"')

    async def list(self, request: Request) -> Response:
        """GET /orders"""
        return await self._list(request, None)

    async def list_of_customer(self, request: Request) -> Response:
        """GET /customers/{customerId}/orders"""
        return await self._list(request, request.ids[CUSTOMER.id_name])

    async def _list(self, request: Request, named: int | None) -> Response:
        parameters = Parameters(request.query)
        customer = named or parameters.number(CUSTOMER.id_name)
        product, span = parameters.number(PRODUCT.id_name), parameters.range()
        limit, is_counted = parameters.limit(), parameters.flag("count")
        keys = _SORT["enum"][:1] if product else _SORT["enum"]
        sort = parameters.sort(*keys)
        parameters.done()
        match = {CUSTOMER.id_name: customer} if customer else {}
        filters = {"list": ORDER.collection, PRODUCT.id_name: product, "sort": sort, **match}
        filters |= span_filter(span)
        filters |= moment_filter(request)
        after = read_cursor(request.query.get("cursor"), filters, 2)
        async with reading_mongodb(patience(request)):
            view = await open_view(self._reads, request)
            if named is not None and await view.one(CUSTOMER.collection, named) is None:
                raise unknown(CUSTOMER, named)

            if product is not None:
                match = {ITS_PRODUCT: product, **match}
            find = partial(find_orders, view, match, span, is_up=sort == "orderDate")
            page = await find(after, limit)
            more = await count(partial(find, is_counting=True)) if is_counted else {}
            items = await bodies_of(view, page.documents)
        return respond_with_page(view, filters, page, items, **more)


def routes(reads: Reads) -> list[Route]:
    """Return the routes, their handlers around one reader of MongoDB."""
    orders = Orders(reads)
    parameters = {**RANGE, **PAGE, **OF_PRODUCT, "sort": _SORT, **COUNT}
    return [
        one("/orders/{orderId}", orders.get, "Order"),
        many("/orders", orders.list, "Orders", {**parameters, **OF_CUSTOMER}),
        many("/customers/{customerId}/orders", orders.list_of_customer, "Orders", parameters),
    ]
