"""From a command to its events, on the state in memory: which aggregates it reads, which it moves.

The rules themselves are in `shop`; here each command meets the state it needs and the response it
gets. Next: shop/order.py
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
    events = _events(numbered(command, ids), state, now)
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
