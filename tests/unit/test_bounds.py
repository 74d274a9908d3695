"""The bounds of a lane hold the document of each event, as the projector and verify move them."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from storelog.envelope import Envelope
from storelog.projector.checkpoints import Bounds
from storelog.read_models.change import Change, EventOrigin
from storelog.shop.customer import CustomerCreated
from storelog.shop.events import Event, kind_of
from storelog.shop.kinds import Money, Time
from storelog.shop.order import OrderCreated, OrderDeleted
from storelog.shop.product import ProductCreated, ProductSold
from storelog.verify.places import LaneState

AT = Time(2026, 1, 1, tzinfo=UTC)
LATER = Time.of(AT + timedelta(days=3))
ONE = Money(1)
EVENTS: list[tuple[Event, tuple[int, int, Time | None, Time | None]]] = [
    (CustomerCreated(7, "Ann", "ann@example.com", None), (7, 0, None, None)),
    (ProductCreated(9, "Stand", ONE, 4, True, None), (7, 9, None, None)),
    (ProductCreated(8, "Stand", ONE, 4, True, None), (7, 9, None, None)),
    (OrderCreated(3, LATER, 7, (), ONE), (7, 9, LATER, LATER)),
    (OrderCreated(4, AT, 7, (), ONE), (7, 9, AT, LATER)),
    (OrderDeleted(4, AT, 7, (), ONE, LATER), (7, 9, AT, LATER)),
    (ProductSold(1, 11, "Stand", ONE, 1, 3, True, 4, 7, ONE, AT), (7, 11, AT, LATER)),
]


def changes() -> list[Change]:
    origin = EventOrigin(datetime(2026, 2, 1, tzinfo=UTC), None, "c1")
    events = enumerate((event for event, _ in EVENTS), 1)
    return [Change(at, kind_of(event), "x-1", 1, event, origin) for at, event in events]


def test_each_event_moves_the_bound_of_its_entity() -> None:
    bounds = Bounds()
    for change, (_, expected) in zip(changes(), EVENTS, strict=True):
        bounds = bounds.including(change)
        found = (bounds.customers, bounds.products, bounds.oldest_order, bounds.newest_order)
        assert found == expected, change.kind.name


@pytest.mark.parametrize("is_absent", [False, True])
def test_verify_moves_the_same_bounds_but_for_what_the_read_model_lacks(is_absent: bool) -> None:
    state = LaneState()
    for change, (_, expected) in zip(changes(), EVENTS, strict=True):
        envelope: Any = type("E", (), {"position": change.position, "hash": b"", "recorded_at": AT})
        state.add(cast(Envelope, envelope), change, is_absent=is_absent)
        found = (state.customers, state.products, state.oldest, state.newest)
        assert found == ((0, 0, None, None) if is_absent else expected), change.kind.name
