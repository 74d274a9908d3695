"""From a command to its events, on the state in memory: which aggregates it reads, which it moves.

The rules themselves are in `domain`; here each command meets the state it needs and the answer it
gets. Next: domain/order.py
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from storelog.command_service.state import State
from storelog.command_service.submission import Command
from storelog.domain import customer as customers
from storelog.domain import order as orders
from storelog.domain import product as products
from storelog.domain.value import value
from storelog.event_codec import Event, aggregate_of, customer_body, product_body

NewIds = dict[str, Callable[[], int]]


@value
class Decision:
    """A command's events and the answer to it; `body` None: the created payload, or empty."""

    events: Sequence[Event]
    status: int
    version: int | None = None
    body: dict[str, Any] | None = None
    location: str | None = None


def decide(command: Command, state: State, ids: NewIds, now: datetime) -> Decision:
    """Decide one command and move `state` along. Raises Refusal, and then moved nothing."""
    match command:
        case orders.PlaceOrder():
            return _place_order(command, state, ids, now)
        case orders.DeleteOrder():
            return _delete_order(command, state, now)
        case customers.CreateCustomer():
            return _customer(replace(command, customer_id=ids["customer"]()), state, now)
        case customers.UpdateCustomer() | customers.DeleteCustomer():
            return _customer(command, state, now)
        case products.CreateProduct():
            return _product(replace(command, product_id=ids["product"]()), state, now)
        case _:
            return _product(command, state, now)


def _customer(command: customers.CustomerCommand, state: State, now: datetime) -> Decision:
    customer_id = command.customer_id
    event = customers.decide(command, state.customers.get(customer_id), now)
    after = customers.evolve(None, event)
    state.customers[customer_id] = after
    if isinstance(command, customers.CreateCustomer):
        return Decision([event], 201, after.version, None, f"/customers/{customer_id}")
    if isinstance(command, customers.DeleteCustomer):
        return Decision([event], 204, after.version)
    return Decision([event], 200, after.version, customer_body(after))


def _product(command: products.ProductCommand, state: State, now: datetime) -> Decision:
    product_id = command.product_id
    event = products.decide(command, state.products.get(product_id), now)
    after = products.evolve(None, event)
    state.products[product_id] = after
    if isinstance(command, products.CreateProduct):
        return Decision([event], 201, after.version, None, f"/products/{product_id}")
    if isinstance(command, products.DeleteProduct):
        return Decision([event], 204, after.version)
    return Decision([event], 200, after.version, product_body(after))


def _known(state: State, ids: set[int]) -> dict[int, products.Product]:
    found = ((product_id, state.products.get(product_id)) for product_id in ids)
    return {product_id: product for product_id, product in found if product is not None}


def _place_order(command: orders.PlaceOrder, state: State, ids: NewIds, now: datetime) -> Decision:
    known = _known(state, {line.product_id for line in command.lines})
    new_item = ids["item"]
    numbered = orders.PlaceOrder(
        ids["order"](),
        command.customer_id,
        command.lines,
        tuple([new_item() for _ in command.lines]),
        command.order_date,
    )
    events = orders.place(numbered, state.customers.get(command.customer_id), known, now)
    _move(state, events)
    return Decision(events, 201, 1, None, f"/orders/{numbered.order_id}")


def _delete_order(command: orders.DeleteOrder, state: State, now: datetime) -> Decision:
    order = state.orders.get(command.order_id)
    known = _known(state, {item.product_id for item in order.items} if order else set())
    events = orders.delete(command, order, known, now)
    _move(state, events)
    return Decision(events, 204, aggregate_of(events[0])[2])


def _move(state: State, events: Sequence[Event]) -> None:
    for event in events:
        match event:
            case orders.OrderCreated() | orders.OrderDeleted():
                state.orders[event.order.order_id] = orders.evolve(None, event)
            case products.ProductSold() | products.ProductUpdated():
                state.products[event.product.product_id] = products.evolve(None, event)
