"""Folds the log into what PostgreSQL's state tables must hold, and compares them.

All is read in one snapshot, so that the tables and the log are of the same moment.
Next: verify/read_model.py
"""

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

import asyncpg
from msgspec import Struct

from storelog.read_models.change import Change
from storelog.sequences import SEQUENCES, find_behind
from storelog.shop.columns import columns_of
from storelog.shop.customer import Customer
from storelog.shop.order import Order, OrderCreated, OrderItem
from storelog.shop.product import Product, ProductSold
from storelog.verify.fold import is_last
from storelog.verify.report import Report

Row = dict[str, Any]


class StateTables:
    """What the tables must hold after the events that were folded."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._customers: dict[int, Row] = {}
        self._products: dict[int, Row] = {}
        # The version of each order that has changed, and whether it is deleted. Its fields are
        # compared as soon as an event says what the row's version has.
        self._changed_orders: dict[int, tuple[int, bool]] = {}
        self._orders = 0
        self._items = 0

    async def fold(self, changes: Iterable[Change], connection: asyncpg.Connection) -> None:
        """Fold a chunk, and compare the orders that it creates or changes."""
        created: dict[int, Order] = {}
        changed: dict[int, tuple[int, Order]] = {}
        for change in changes:
            event = change.event
            match event:
                case Customer():
                    self._customers[event.customer_id] = _row(event, Customer, change)
                case Product():
                    self._products[event.product_id] = _row(event, Product, change)
                case ProductSold():
                    row = self._products.setdefault(event.product_id, {})
                    row["stock"], row["version"] = event.remaining_stock, change.version
                case OrderCreated():
                    created[event.order_id] = event
                case Order():
                    changed[event.order_id] = change.version, event
                    self._changed_orders[event.order_id] = change.version, is_last(change)
                case _:
                    assert_never(event)
        if created or changed:
            await self._compare_orders(created, changed, connection)

    async def _compare_orders(
        self,
        created: Mapping[int, Order],
        changed: Mapping[int, tuple[int, Order]],
        connection: asyncpg.Connection,
    ) -> None:
        ids = list(created)
        rows = await connection.fetch(
            f"SELECT {', '.join(columns_of(Order))}, version FROM orders WHERE order_id = ANY ($1)",
            list(created.keys() | changed.keys()),
        )
        found = {row["order_id"]: dict(row) for row in rows}
        items: dict[int, dict[int, Row]] = {}
        for row in await connection.fetch(
            f"SELECT order_id, {', '.join(columns_of(OrderItem))} FROM order_items"
            " WHERE order_id = ANY ($1)",
            ids,
        ):
            item = dict(row)
            items.setdefault(item.pop("order_id"), {})[item.pop("item_id")] = item
        for order_id, (version, order) in changed.items():
            row = found.get(order_id)
            if row is not None and row["version"] == version:
                self._differ("orders", order_id, _fields(order, Order), row)
        for order_id, order in created.items():
            self._orders += 1
            self._items += len(order.order_items)
            row = found.get(order_id)
            is_as_created = row is None or row["version"] == 1
            expected_row = _fields(order, Order) if is_as_created else {}
            self._compare("orders", order_id, expected_row, row)
            expected = {line.item_id: _fields(line, OrderItem) for line in order.order_items}
            actual = items.get(order_id, {})
            for item_id in expected.keys() | actual.keys():
                self._compare("order_items", item_id, expected.get(item_id), actual.get(item_id))

    def _compare(self, table: str, thing: int, expected: Row | None, found: Row | None) -> None:
        self._report.count(f"postgresql.{table}")
        where = f"postgresql.{table}"
        if expected is None or found is None:
            self._report.differ(where, thing, "row", expected, found)
            return
        self._differ(table, thing, expected, found)

    def _differ(self, table: str, thing: int, expected: Row, found: Row) -> None:
        for name, value in expected.items():
            if found[name] != value:
                self._report.differ(f"postgresql.{table}", thing, name, value, found[name])

    async def finish(self, connection: asyncpg.Connection) -> None:
        """Compare what is left after the last event: customers, products, deletions, strays."""
        await self._compare_table("customers", "customer_id", self._customers, connection)
        await self._compare_table("products", "product_id", self._products, connection)
        await self._compare_versions(connection)
        await self._find_strays(connection)
        await self._compare_sequences(connection)

    async def _compare_table(
        self, table: str, key: str, expected: Mapping[int, Row], connection: asyncpg.Connection
    ) -> None:
        left = dict(expected)
        async for row in connection.cursor(f"SELECT * FROM {table}", prefetch=1_000):
            self._compare(table, row[key], left.pop(row[key], None), dict(row))
        for thing, row in left.items():
            self._compare(table, thing, row, None)

    async def _compare_versions(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(
            "SELECT order_id, version, is_deleted FROM orders WHERE is_deleted OR version <> 1"
        )
        found = {row["order_id"]: (row["version"], row["is_deleted"]) for row in rows}
        for order_id in self._changed_orders.keys() | found.keys():
            expected = self._changed_orders.get(order_id, (1, False))
            actual = found.get(order_id, (1, False))
            if expected != actual:
                self._report.differ(
                    "postgresql.orders", order_id, "version, is_deleted", expected, actual
                )

    async def _find_strays(self, connection: asyncpg.Connection) -> None:
        """Find orders that no event made; only where there are more than the log has."""
        if await connection.fetchval("SELECT count(*) FROM orders") <= self._orders:
            return
        rows = await connection.fetch(
            "SELECT order_id FROM orders o LEFT JOIN events e ON e.aggregate_type = 'order'"
            " AND e.aggregate_id = o.order_id AND e.version = 1 WHERE e.position IS NULL LIMIT 1000"
        )
        for row in rows:
            self._report.differ("postgresql.orders", row["order_id"], "row", None, "a row")

    async def _compare_sequences(self, connection: asyncpg.Connection) -> None:
        """Find sequences that would give ids which their tables have already."""
        where = "postgresql.sequences"
        self._report.count(where, len(SEQUENCES))
        for each in await find_behind(connection):
            expected = f"at least {each.largest}"
            self._report.differ(where, each.sequence, "last_value", expected, each.given)


def _row(event: Struct, structure: type[Struct], change: Change) -> Row:
    life = {"version": change.version, "is_deleted": is_last(change)}
    return {**_fields(event, structure), **life}


def _fields(said: Struct, structure: type[Struct]) -> Row:
    """Return the columns of a structure but for its id, which the row is found by."""
    return {name: getattr(said, name) for name in columns_of(structure)[1:]}
