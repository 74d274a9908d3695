"""Turns a command into events and a response, on the state in memory.

The rules are in `shop`; this module gives each rule the aggregates that it reads, and evolves those
that its events change. Next: shop/order.py
"""

from collections.abc import Sequence
from typing import Any, assert_never

from msgspec import Struct

from storelog.command_service.state import State
from storelog.shop import customer as customers
from storelog.shop import order as orders
from storelog.shop import product as products
from storelog.shop.aggregate import Aggregate
from storelog.shop.commands import Command, NewIds, entity_of, numbered, own_id
from storelog.shop.event_kinds import EventKind
from storelog.shop.events import CUSTOMER, PRODUCT, Event, id_of, kind_of
from storelog.shop.evolve import evolve
from storelog.shop.kinds import Time
from storelog.shop.value import value


class Decided(Struct, frozen=True):
    """An event, and its aggregate after the event."""

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
    """Decide one command and apply its events to `state`; if it raises Refusal, nothing changed."""
    events = _events(numbered(command, ids), state, now)
    # Check every unique value before the first event is applied: a rejection has no undo.
    for event in events:
        kind = kind_of(event)
        if kind.unique and not kind.ends:
            state.holders.check(kind.entity, id_of(event), event)
    return _responds(state, events)


def _events(command: Command, state: State, now: Time) -> Sequence[Event]:
    known = state.known
    own = known[entity_of(command).collection].get(own_id(command))
    if isinstance(command, customers.CustomerCommand):
        return [customers.decide(command, own, now)]
    if isinstance(command, products.ProductCommand):
        return [products.decide(command, own, now)]
    if isinstance(command, orders.OrderCommand):
        buyers, sold = known[CUSTOMER.collection], known[PRODUCT.collection]
        return orders.decide(command, own, buyers, sold, now)
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


def _move(state: State, events: Sequence[Event]) -> list[Decided]:
    decided = []
    for event in events:
        kind = kind_of(event)
        number: int = getattr(event, kind.entity.id_field)
        kept = state.known[kind.entity.collection]
        before = kept.get(number)
        after = kept[number] = evolve(before, event)
        if kind.unique:
            state.holders.move(kind.entity, number, before, after)
        decided.append(Decided(event, kind, number, after))
    return decided
