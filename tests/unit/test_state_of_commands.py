"""What commands are decided on: read from the state tables once, and kept as declared."""

import asyncio
import re
from datetime import UTC
from typing import Any, cast

from storelog.command_service.state import Head, State
from storelog.command_service.state_reader import load_for
from storelog.shop.aggregate import Aggregate
from storelog.shop.commands import Command
from storelog.shop.customer import DeleteCustomer
from storelog.shop.kinds import Money, Time
from storelog.shop.order import DeleteOrder, Order, OrderItem

AT = Time(2026, 1, 1, tzinfo=UTC)
ITEM = (1, 3, "Lamp", 2, Money(1))
LINE = dict(zip(("item_id", "product_id", "product_name", "quantity", "price"), ITEM, strict=True))
ORDER = {"order_id": 7, "order_date": AT, "customer_id": 5, "total_price": Money(2)}
LAMP = {"product_id": 3, "name": "Lamp", "price": Money(1), "stock": 1, "stock_status": True}
# What a row does not name is null.
ROWS: dict[str, dict[int, dict[str, Any]]] = {
    "order_items": {7: LINE | {"order_id": 7}},
    "orders": {7: ORDER | {"version": 1, "is_deleted": False}},
    "products": {3: LAMP | {"version": 4, "is_deleted": False}},
    "customers": {},
}


class Tables:
    """Stands for a connection: keeps which tables were read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    async def fetch(self, statement: str, given: list[int]) -> list[tuple[Any, ...]]:
        found = re.match(r"SELECT (.+) FROM (\w+)", statement)
        assert found is not None
        columns, table = found[1].split(", "), found[2]
        self.read.append(table)
        rows = [row for number, row in ROWS[table].items() if number in given]
        return [tuple(map(row.get, columns)) for row in rows]


def read(state: State, command: Command) -> list[str]:
    tables = Tables()
    asyncio.run(load_for(cast(Any, tables), state, [command]))
    return tables.read


def test_with_an_order_come_its_lines_and_the_products_that_they_refer_to() -> None:
    state = State(Head())
    assert read(state, DeleteOrder(7)) == ["order_items", "orders", "products"]
    assert state.known["orders"] == {
        7: Aggregate(Order(7, AT, 5, (OrderItem(*ITEM),), Money(2)), 1, False)
    }
    lamp = state.known["products"][3]
    assert lamp is not None
    assert (lamp.entity.name, lamp.version, lamp.is_deleted) == ("Lamp", 4, False)


def test_what_the_batch_before_has_touched_is_not_read_again_and_orders_are_kept_no_longer() -> (
    None
):
    state: State | None = State(Head())
    assert state is not None
    read(state, DeleteOrder(7))
    state = state.after(Head(1))
    assert state is not None
    assert read(state, DeleteOrder(7)) == []
    state = state.after(Head(2))
    assert state is not None
    state = state.after(Head(3))
    assert state is not None
    assert read(state, DeleteOrder(7)) == ["order_items", "orders"]


def test_what_does_not_exist_is_known_not_to() -> None:
    state = State(Head())
    assert read(state, DeleteCustomer(9)) == ["customers"]
    assert state.known["customers"] == {9: None}
    assert read(state, DeleteCustomer(9)) == []


class Looked(dict[int, Any]):
    """Finds by key; to walk through it is an error."""

    def _walked(self, *_: object) -> Any:
        raise AssertionError("a batch costs more, the more is kept")

    __iter__ = keys = items = values = _walked


def test_what_is_kept_is_looked_up_and_never_walked_through() -> None:
    state = State(Head())
    read(state, DeleteOrder(7))
    for name, kept in (*state.known.items(),):
        state.known[name] = state.before[name] = Looked(kept)
    state.known["orders"] = Looked()
    assert read(state, DeleteOrder(7)) == []
    assert read(state, DeleteCustomer(9)) == ["customers"]
