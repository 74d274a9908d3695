"""From a command to its events, on the state in memory: which aggregates it reads, which it moves.

The rules themselves are in `shop`; here each command meets the state it needs and the response it
gets. Next: shop/order.py
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, assert_never

from msgspec import Struct

from storelog.command_service.state import State
from storelog.command_service.submission import Command
from storelog.shop import customer as customers
from storelog.shop import order as orders
from storelog.shop import product as products
from storelog.shop.aggregate import Aggregate
from storelog.shop.event_kinds import EventKind
from storelog.shop.events import CUSTOMER, ORDER, PRODUCT, Event, id_of, kind_of
from storelog.shop.evolve import evolve
from storelog.shop.kinds import Time
from storelog.shop.value import value

NewIds = dict[str, Callable[[], int]]


@value
class Decided:
    """An event, and what its aggregate is after it."""

    event: Event
    kind: EventKind
    aggregate_id: int
    after: Aggregate[Any]


@value
class Decision:
    """A command's events and the response; `body` None: the created payload, or empty."""

    events: Sequence[Decided]
    status: int
    body: Struct | None = None
    location: str | None = None

    @property
    def version(self) -> int:
        """The version of the command's own aggregate, whose event comes first."""
        return self.events[0].after.version


def decide(command: Command, state: State, ids: NewIds, now: Time) -> Decision:
    """Decide one command and move `state` along. Raises Refusal, and then moved nothing."""
    return _responds(state, _events(command, state, ids, now))


def _events(command: Command, state: State, ids: NewIds, now: Time) -> Sequence[Event]:
    match command:
        case orders.PlaceOrder():
            return _place_order(command, state, ids, now)
        case orders.DeleteOrder():
            return _delete_order(command, state, now)
        case customers.CreateCustomer():
            numbered = replace(command, customer_id=ids[CUSTOMER.name]())
            return [customers.decide(numbered, None, now)]
        case customers.UpdateCustomer() | customers.DeleteCustomer():
            return [customers.decide(command, state.customers.get(command.customer_id), now)]
        case products.CreateProduct():
            new = replace(command, product_id=ids[PRODUCT.name]())
            return [products.decide(new, None, now)]
        case products.UpdateProduct() | products.AdjustStock() | products.DeleteProduct():
            return [products.decide(command, state.products.get(command.product_id), now)]
        case _:
            assert_never(command)


def _responds(state: State, events: Sequence[Event]) -> Decision:
    """Return the response to a command whose first event is of its own aggregate."""
    decided = _move(state, events)
    first = decided[0]
    if first.kind.begins:
        location = f"/{first.kind.entity.collection}/{first.aggregate_id}"
        return Decision(decided, 201, None, location)
    if first.kind.ends:
        return Decision(decided, 204)
    return Decision(decided, 200, first.after.entity)


def _known(state: State, ids: set[int]) -> dict[int, Aggregate[products.Product]]:
    found = ((product_id, state.products.get(product_id)) for product_id in ids)
    return {product_id: product for product_id, product in found if product is not None}


def _place_order(
    command: orders.PlaceOrder, state: State, ids: NewIds, now: Time
) -> Sequence[Event]:
    order, new_item = command.order, ids["item"]
    known = _known(state, {line.product_id for line in order.order_items})
    items = tuple([new_item() for _ in order.order_items])
    numbered = orders.PlaceOrder(ids[ORDER.name](), order, items)
    return orders.place(numbered, state.customers.get(order.customer_id), known, now)


def _delete_order(command: orders.DeleteOrder, state: State, now: Time) -> Sequence[Event]:
    order = state.orders.get(command.order_id)
    items = order.entity.order_items if order else ()
    return orders.delete(command, order, _known(state, {i.product_id for i in items}), now)


def _move(state: State, events: Sequence[Event]) -> list[Decided]:
    decided = []
    for event in events:
        kind, number = kind_of(event), id_of(event)
        kept: dict[int, Aggregate[Any] | None] = getattr(state, kind.entity.collection)
        after = kept[number] = evolve(kept.get(number), event)
        decided.append(Decided(event, kind, number, after))
    return decided
