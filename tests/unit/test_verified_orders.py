"""verify compares an order's row with what the event of the row's version says."""

import asyncio
from dataclasses import replace
from datetime import UTC
from typing import Any, cast

import pytest

from storelog.read_models.change import Change
from storelog.shop.events import Event, kind_of
from storelog.shop.json_values import encode_json
from storelog.shop.kinds import Money, Time
from storelog.shop.order import OrderCreated, OrderDeleted, OrderItem
from storelog.verify.report import Report
from storelog.verify.state_tables import StateTables

AT = Time(2026, 1, 1, tzinfo=UTC)
LINES = (OrderItem(7, 3, "Stand", 2, Money(2)),)
CREATED = OrderCreated(5, AT, 1, LINES, Money(4))
DELETED = OrderDeleted(5, AT, 1, LINES, Money(4), AT)
ROW = {"order_id": 5, "order_date": AT, "customer_id": 1, "total_price": Money(4), "version": 1}
ITEM = {
    "order_id": 5,
    "item_id": 7,
    "product_id": 3,
    "product_name": "Stand",
    "quantity": 2,
    "price": Money(2),
}


class Tables:
    """A connection to the tables `orders` and `order_items`, and to the log before version 2."""

    def __init__(self, *orders: dict[str, Any]) -> None:
        self._orders = orders

    async def fetch(self, query: str, *_args: Any) -> list[Any]:
        if "FROM events" in query:
            return [("OrderCreated", 1, encode_json(CREATED))]
        return [dict(row) for row in (self._orders if " orders " in query else [ITEM])]


def differences(*orders: dict[str, Any], in_one_chunk: bool = True) -> list[tuple[Any, Any]]:
    report = Report(9)
    tables = StateTables(report)
    changes = [
        Change(version, kind_of(event), "order-5", version, event, cast(Any, None))
        for version, event in enumerate(cast(tuple[Event, ...], (CREATED, DELETED)), 1)
    ]
    for chunk in [changes] if in_one_chunk else [[each] for each in changes]:
        asyncio.run(tables.fold(chunk, cast(Any, Tables(*orders))))
    return [(each["id"], each["field"]) for each in report.facts()["differences"]]


@pytest.mark.parametrize("in_one_chunk", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_a_field_that_is_not_the_events_is_a_difference_named_once(
    version: int, in_one_chunk: bool
) -> None:
    row = ROW | {"version": version}
    assert differences(row, in_one_chunk=in_one_chunk) == []
    wrong = row | {"customer_id": 2}
    assert differences(wrong, in_one_chunk=in_one_chunk) == [(5, "customer_id")]


def test_what_a_newer_event_does_not_set_is_compared_with_what_an_older_one_said() -> None:
    kind = replace(kind_of(DELETED), sets={"order_date": "order_date"})
    change = Change(2, kind, "order-5", 2, DELETED, cast(Any, None))
    for customer, expected in ((1, []), (2, [(5, "customer_id")])):
        report = Report(9)
        row = ROW | {"version": 2, "customer_id": customer}
        asyncio.run(StateTables(report).fold([change], cast(Any, Tables(row))))
        assert [(e["id"], e["field"]) for e in report.facts()["differences"]] == expected


def test_an_order_without_a_row_is_a_difference() -> None:
    assert differences() == [(5, "row")]
