"""The rows of the state tables, folded from events for a rebuild."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from msgspec import Struct

from storelog.read_models.change import Change
from storelog.shop.event_kinds import EventKind
from storelog.shop.events import Event, kind_of
from storelog.shop.kinds import Id, Money, Time, Total
from storelog.shop.order import OrderCreated, OrderDeleted, OrderItem
from storelog.shop.product import ProductCreated, ProductSold
from storelog.upkeep.folded_rows import FoldedRows

NOW = Time.of(datetime(2026, 1, 1, tzinfo=UTC))
PRICE = Money(2)
LINES = (OrderItem(7, 3, "Stand", 2, PRICE),)


def changes(*events: tuple[Any, int], kind: EventKind | None = None) -> list[Change]:
    return [
        Change(0, kind or kind_of(cast(Event, event)), "", version, event, cast(Any, None))
        for event, version in events
    ]


def folded(*some: Change) -> FoldedRows:
    rows = FoldedRows()
    for change in some:
        rows.fold(change)
    return rows


def test_an_order_is_handed_over_once_with_its_lines_and_its_deletion_changes_every_column() -> (
    None
):
    created, deleted = (
        OrderCreated(5, NOW, 1, LINES, Money(4)),
        OrderDeleted(5, NOW, 1, LINES, Money(4), NOW),
    )
    rows = folded(*changes((created, 1), (deleted, 2)))
    assert dict(rows.begun()) == {
        "orders": [(5, NOW, 1, Money(4), 1, False)],
        "order_items": [(7, 5, 3, "Stand", 2, PRICE)],
    }
    assert dict(rows.begun()) == {"orders": [], "order_items": []}
    columns = ("order_id", "order_date", "customer_id", "total_price", "version", "is_deleted")
    assert list(rows.changed()) == [("orders", columns, [(5, NOW, 1, Money(4), 2, True)])]


def test_an_event_that_changes_an_order_and_does_not_end_it_sets_what_it_declares() -> None:
    class OrderCorrected(Struct, frozen=True, rename="camel"):
        """A throw-away event, as no release has it."""

        order_id: Id
        right_total: Total

    corrected = replace(
        kind_of(OrderDeleted(5, NOW, 1, LINES, Money(4), NOW)),
        payload=OrderCorrected,
        ends=False,
        sets={"total_price": "right_total"},
    )
    rows = FoldedRows()
    for change in changes((OrderCorrected(5, Money(9)), 2), kind=corrected):
        rows.fold(change)
    columns = ("order_id", "total_price", "version", "is_deleted")
    assert list(rows.changed()) == [("orders", columns, [(5, Money(9), 2, False)])]


def test_a_product_is_kept_until_the_end_as_its_newest_event_left_it() -> None:
    created = ProductCreated(3, "Stand", PRICE, 5, True, "S")
    sold = ProductSold(7, 3, "Stand", PRICE, 5, 0, False, 5, 1, Money(10), NOW)
    rows = folded(*changes((created, 1), (sold, 2)))
    assert dict(rows.kept())["products"] == [(3, "Stand", PRICE, 0, "S", 2, False)]
