"""Folds the log into what PostgreSQL's state tables must hold, and compares them.

All is read in one snapshot, so that the tables and the log are of the same moment.
Next: verify/read_model.py
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg

from storelog.projector.change import (
    Change,
    CustomerPayload,
    OrderPayload,
    ProductPayload,
    SalePayload,
)
from storelog.sequences import SEQUENCES, find_behind
from storelog.verify.report import Report

Row = dict[str, Any]


class StateTables:
    """What the tables must hold after the events that were folded."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._customers: dict[int, Row] = {}
        self._products: dict[int, Row] = {}
        self._deleted_orders: set[int] = set()
        self._orders = 0
        self._items = 0

    async def fold(self, changes: Iterable[Change], connection: asyncpg.Connection) -> None:
        """Fold a chunk, and compare the orders that it creates."""
        created: dict[int, OrderPayload] = {}
        for change in changes:
            payload = change.payload
            if isinstance(payload, CustomerPayload):
                self._customers[payload.customerId] = _customer(change, payload)
            elif isinstance(payload, ProductPayload):
                self._products[payload.productId] = _product(change, payload)
            elif isinstance(payload, SalePayload):
                row = self._products.setdefault(payload.productId, {})
                row["stock"], row["version"] = payload.remainingStock, change.version
            elif change.is_deletion:
                self._deleted_orders.add(payload.orderId)
            else:
                created[payload.orderId] = payload
        if created:
            await self._compare_orders(created, connection)

    async def _compare_orders(
        self, created: Mapping[int, OrderPayload], connection: asyncpg.Connection
    ) -> None:
        ids = list(created)
        rows = await connection.fetch(
            "SELECT order_id, order_date, customer_id, total_price FROM orders"
            " WHERE order_id = ANY ($1)",
            ids,
        )
        found = {row["order_id"]: dict(row) for row in rows}
        items: dict[int, dict[int, Row]] = {}
        for row in await connection.fetch(
            "SELECT order_id, item_id, product_id, product_name, quantity, price"
            " FROM order_items WHERE order_id = ANY ($1)",
            ids,
        ):
            item = dict(row)
            items.setdefault(item.pop("order_id"), {})[item.pop("item_id")] = item
        for order_id, payload in created.items():
            self._orders += 1
            self._items += len(payload.orderItems)
            self._compare("orders", order_id, _order(payload), found.get(order_id))
            expected = {line.itemId: _item(line) for line in payload.orderItems}
            actual = items.get(order_id, {})
            for item_id in expected.keys() | actual.keys():
                self._compare("order_items", item_id, expected.get(item_id), actual.get(item_id))

    def _compare(self, table: str, thing: int, expected: Row | None, found: Row | None) -> None:
        self._report.count(f"postgresql.{table}")
        where = f"postgresql.{table}"
        if expected is None or found is None:
            self._report.differ(where, thing, "row", expected, found)
            return
        for name, value in expected.items():
            if found[name] != value:
                self._report.differ(where, thing, name, value, found[name])

    async def finish(self, connection: asyncpg.Connection) -> None:
        """Compare what is left after the last event: customers, products, deletions, strays."""
        await self._compare_table("customers", "customer_id", self._customers, connection)
        await self._compare_table("products", "product_id", self._products, connection)
        await self._compare_deletions(connection)
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

    async def _compare_deletions(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(
            "SELECT order_id, version, is_deleted FROM orders WHERE is_deleted OR version <> 1"
        )
        found = {row["order_id"]: (row["version"], row["is_deleted"]) for row in rows}
        for order_id in self._deleted_orders | found.keys():
            expected = (2, True) if order_id in self._deleted_orders else (1, False)
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


def _customer(change: Change, payload: CustomerPayload) -> Row:
    return {
        "name": payload.name,
        "email": payload.email,
        "phone_number": payload.phoneNumber,
        "version": change.version,
        "is_deleted": change.is_deletion,
    }


def _product(change: Change, payload: ProductPayload) -> Row:
    return {
        "name": payload.name,
        "price": payload.price,
        "stock": payload.stock,
        "version": change.version,
        "is_deleted": change.is_deletion,
    }


def _order(payload: OrderPayload) -> dict[str, int | Decimal | datetime]:
    return {
        "order_date": payload.orderDate,
        "customer_id": payload.customerId,
        "total_price": payload.totalPrice,
    }


def _item(line: Any) -> Row:
    return {
        "product_id": line.productId,
        "product_name": line.productName,
        "quantity": line.quantity,
        "price": line.price,
    }
