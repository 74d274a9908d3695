"""GET /orders, GET /orders/{orderId}, GET /customers/{customerId}/orders.

Orders go from the newest down or from the oldest up. An order shows its customer's name of now.
Next: read_models/orders/milestones.py
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from storelog.documents.forms import body_of
from storelog.envelope import milliseconds
from storelog.query_service.http.parameters import COUNT, PAGE, RANGE, Parameters, Range
from storelog.query_service.http.parameters import CUSTOMER as OF_CUSTOMER
from storelog.query_service.http.parameters import PRODUCT as OF_PRODUCT
from storelog.query_service.http.responses import (
    Document,
    answer,
    list_answer,
    moment_filter,
    span_filter,
    unknown,
)
from storelog.query_service.http.route_parts import ANN_OR_NULL, many, one, page_schema
from storelog.query_service.paging.by_time import ByTime, walk
from storelog.query_service.paging.keyset import Key, read_cursor
from storelog.query_service.paging.page import Page, count, first_page
from storelog.query_service.positions.freshness import check_also, open_view, patience
from storelog.query_service.positions.reads import Reads, answering
from storelog.query_service.positions.view import View
from storelog.read_models.orders.milestones import milestones
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT
from storelog.shop.json_schema import response_schema
from storelog.shop.json_values import encode_json
from storelog.shop.order import Order
from storelog.shop.value_schemas import strict_object
from storelog.web.http import Request, Response, Route

LINE_BYTES = 90
AT_ONCE = 32
# How an order names the products of its lines.
ITS_PRODUCT = "orderItems.productId"
# Whether an order is there and where it stands: all that counting reads of one.
COUNTED_FIELDS = dict.fromkeys(("orderDate", "deleted", "position", "created", "version"), 1)
ORDERS = ByTime(ORDER.collection, "orderDate", ("_id",), "deleted", False, AT_ONCE, milestones)
_SORT: dict[str, Any] = {
    "enum": ["-orderDate", "orderDate"],
    "default": "-orderDate",
    "description": "With productId, only -orderDate.",
}


def with_name(order: Document, customer_name: Any) -> Document:
    """Return the members of an order with that of its customer's name after the customer's id."""
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


async def find_orders(
    view: View,
    match: Mapping[str, Any],
    span: Range,
    after: Key | None,
    limit: int,
    *,
    is_up: bool = False,
    is_deleted: bool = False,
    is_counting: bool = False,
) -> Page:
    """Return orders, newest first or oldest first; `match` is on a customer, a product, or both.

    `is_deleted`: deleted ones in place of the others. `is_counting`: without their items.
    """

    async def find(one: Mapping[str, Any]) -> Page:
        others = {name: value for name, value in match.items() if name not in one}
        fields = {**COUNTED_FIELDS, **dict.fromkeys(others, 1)} if is_counting else None

        def has(order: Document) -> bool:
            return all(_has(order, name, value) for name, value in others.items())

        found = walk(
            view, ORDERS, one, span, limit + 1, is_marked=is_deleted, has=has, fields=fields
        )
        if found is None:
            return Page([], None)
        page = await first_page(found.documents(after, is_up=is_up), limit, _key, _size)
        if is_counting:
            return page
        return Page(await view.as_were(ORDERS.collection, page.documents), page.next_key)

    if len(match) < 2:
        return await find(match)
    return await _first_of([find({name: value}) for name, value in match.items()])


def _has(order: Document, name: str, value: Any) -> bool:
    if name == ITS_PRODUCT:
        return any(item["productId"] == value for item in order["orderItems"])
    return bool(order[name] == value)


def _key(order: Document) -> Key:
    return [milliseconds(order["orderDate"]), order["_id"]]


def _size(order: Document) -> int:
    """Return about how many bytes an order's body has."""
    return sum(LINE_BYTES + len(item["productName"]) for item in order.get("orderItems", ()))


async def _first_of(finds: list[Coroutine[Any, Any, Page]]) -> Page:
    """Return the page that is found first: which index is the narrow one nobody knows before.

    The embedded server reads the whole collection for two equalities that no index has together.
    """
    tasks = [asyncio.create_task(find) for find in finds]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Orders:
    """The handlers, around one reader of MongoDB."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def get(self, request: Request) -> Response:
        """GET /orders/{orderId}"""
        number = request.ids[ORDER.id_name]
        async with answering(patience(request)):
            view = await open_view(self._reads, request, ORDER.name_of(number))
            found = await view.one(ORDER.collection, number)
            if found is None:
                raise unknown(ORDER, number)
            # Its customer's name is of now, so what is missing there is missing here.
            await check_also(request, view, CUSTOMER.name_of(found[CUSTOMER.id_name]))
            [body] = await bodies_of(view, [found])
        # The version is what a command may name; the hash tells of the name, which has its own.
        hashed = sha256(encode_json(body)).hexdigest()[:32]
        return answer(view, body, f'"{found["version"]}-{hashed}"')

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
        async with answering(patience(request)):
            view = await open_view(self._reads, request)
            if named is not None and await view.one(CUSTOMER.collection, named) is None:
                raise unknown(CUSTOMER, named)

            if product is not None:
                match = {ITS_PRODUCT: product, **match}
            find = partial(find_orders, view, match, span, is_up=sort == "orderDate")
            page = await find(after, limit)
            more = await count(partial(find, is_counting=True)) if is_counted else {}
            items = await bodies_of(view, page.documents)
        return list_answer(view, filters, page, items, **more)


def routes(reads: Reads) -> list[Route]:
    """Return the routes, their handlers around one reader of MongoDB."""
    orders = Orders(reads)
    parameters = {**RANGE, **PAGE, **OF_PRODUCT, "sort": _SORT, **COUNT}
    return [
        one("/orders/{orderId}", orders.get, "Order"),
        many("/orders", orders.list, "Orders", {**parameters, **OF_CUSTOMER}),
        many("/customers/{customerId}/orders", orders.list_of_customer, "Orders", parameters),
    ]
