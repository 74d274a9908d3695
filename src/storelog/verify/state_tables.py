"""Folds the log into the rows that PostgreSQL's state tables must have, and compares them.

Everything is read in one snapshot, so that the tables and the log are of the same moment.
Next: verify/read_model.py
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import asyncpg

from storelog.event_codec import read_event
from storelog.read_models.change import Change
from storelog.sequences import SEQUENCES, find_behind
from storelog.shop.columns import LINES_TABLE, columns_of, has_lines
from storelog.shop.event_kinds import EntityKind, EventKind
from storelog.shop.events import ENTITIES, ORDER, Event, id_of, kind_of
from storelog.shop.order import Order, OrderItem
from storelog.verify.report import Report

NamedRow = dict[str, Any]
# Entities with lines are compared as they are read, since there are many; others at the end.
_KEPT = tuple(each for each in ENTITIES if not has_lines(each.structure))
_ORDER_ID, _ITEM_ID = ORDER.id_field, columns_of(OrderItem)[0]


class StateTables:
    """What the tables must hold after the folded events."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._kept: dict[EntityKind, dict[int, NamedRow]] = {each: {} for each in _KEPT}
        # The version of each order that has changed, and whether it is deleted. Its fields are
        # compared when the event of the row's version is folded.
        self._changed_orders: dict[int, tuple[int, bool]] = {}
        self._orders = 0
        self._items = 0

    async def fold(self, changes: Iterable[Change], connection: asyncpg.Connection) -> None:
        """Fold a chunk, and compare the orders that it creates or changes."""
        created: dict[int, Change] = {}
        changed: dict[int, Change] = {}
        for change in changes:
            kind, number = change.kind, id_of(change.event)
            life = {"version": change.version, "is_deleted": kind.ends}
            if kind.entity in self._kept:
                self._kept[kind.entity].setdefault(number, {}).update(
                    _columns(kind, change.event), **life
                )
            elif kind.begins:
                created[number] = change
            else:
                changed[number] = change
                self._changed_orders[number] = change.version, kind.ends
        if created or changed:
            await self._compare_orders(created, changed, connection)

    async def _compare_orders(
        self,
        created: Mapping[int, Change],
        changed: Mapping[int, Change],
        connection: asyncpg.Connection,
    ) -> None:
        rows = await connection.fetch(
            f"SELECT {', '.join(columns_of(Order))}, version FROM {ORDER.collection}"
            f" WHERE {_ORDER_ID} = ANY ($1)",
            list(created.keys() | changed.keys()),
        )
        found = {row[_ORDER_ID]: dict(row) for row in rows}
        items: dict[int, dict[int, NamedRow]] = {}
        for row in await connection.fetch(
            f"SELECT {_ORDER_ID}, {', '.join(columns_of(OrderItem))} FROM {LINES_TABLE}"
            f" WHERE {_ORDER_ID} = ANY ($1)",
            list(created),
        ):
            item = dict(row)
            items.setdefault(item.pop(_ORDER_ID), {})[item.pop(_ITEM_ID)] = item
        for order_id, change in changed.items():
            row = found.get(order_id)
            if row is not None and row["version"] == change.version:
                self._differ(ORDER.collection, order_id, await _whole(change, connection), row)
        for order_id, change in created.items():
            order = cast(Order, change.event)
            self._orders += 1
            self._items += len(order.order_items)
            row = found.get(order_id)
            # The row of a changed order is compared when the event of its version is folded.
            is_as_created = row is None or row["version"] == 1
            expected_row = _columns(change.kind, change.event) if is_as_created else {}
            self._compare(ORDER.collection, order_id, expected_row, row)
            expected = {line.item_id: _fields(line) for line in order.order_items}
            actual = items.get(order_id, {})
            for item_id in expected.keys() | actual.keys():
                self._compare(LINES_TABLE, item_id, expected.get(item_id), actual.get(item_id))

    def _compare(
        self, table: str, row_id: int, expected: NamedRow | None, found: NamedRow | None
    ) -> None:
        self._report.count(f"postgresql.{table}")
        where = f"postgresql.{table}"
        if expected is None or found is None:
            self._report.differ(where, row_id, "row", expected, found)
            return
        self._differ(table, row_id, expected, found)

    def _differ(self, table: str, row_id: int, expected: NamedRow, found: NamedRow) -> None:
        for name, value in expected.items():
            if found[name] != value:
                self._report.differ(f"postgresql.{table}", row_id, name, value, found[name])

    async def finish(self, connection: asyncpg.Connection) -> None:
        """Compare the rest after the last event: customers, products, deletions, strays."""
        for entity, rows in self._kept.items():
            await self._compare_table(entity.collection, entity.id_field, rows, connection)
        await self._compare_versions(connection)
        await self._find_strays(connection)
        await self._compare_sequences(connection)

    async def _compare_table(
        self, table: str, key: str, expected: Mapping[int, NamedRow], connection: asyncpg.Connection
    ) -> None:
        left = dict(expected)
        async for row in connection.cursor(f"SELECT * FROM {table}", prefetch=1_000):
            self._compare(table, row[key], left.pop(row[key], None), dict(row))
        for row_id, row in left.items():
            self._compare(table, row_id, row, None)

    async def _compare_versions(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(
            f"SELECT {_ORDER_ID}, version, is_deleted FROM {ORDER.collection}"
            " WHERE is_deleted OR version <> 1"
        )
        found = {number: (version, is_deleted) for number, version, is_deleted in rows}
        for order_id in self._changed_orders.keys() | found.keys():
            expected = self._changed_orders.get(order_id, (1, False))
            actual = found.get(order_id, (1, False))
            if expected != actual:
                self._report.differ(
                    "postgresql.orders", order_id, "version, is_deleted", expected, actual
                )

    async def _find_strays(self, connection: asyncpg.Connection) -> None:
        """Find orders without an event; looks only if the table has too many rows."""
        table = ORDER.collection
        if await connection.fetchval(f"SELECT count(*) FROM {table}") <= self._orders:
            return
        rows = await connection.fetch(
            f"SELECT {_ORDER_ID} FROM {table} LEFT JOIN events e ON e.aggregate_type = $1"
            f" AND e.aggregate_id = {_ORDER_ID} AND e.version = 1"
            " WHERE e.position IS NULL LIMIT 1000",
            ORDER.name,
        )
        for (order_id,) in rows:
            self._report.differ(f"postgresql.{table}", order_id, "row", None, "a row")

    async def _compare_sequences(self, connection: asyncpg.Connection) -> None:
        """Find sequences that would give ids that their tables already have."""
        where = "postgresql.sequences"
        self._report.count(where, len(SEQUENCES))
        for each in await find_behind(connection):
            expected = f"at least {each.largest}"
            self._report.differ(where, each.sequence, "last_value", expected, each.given)


async def _whole(change: Change, connection: asyncpg.Connection) -> NamedRow:
    """Return a row after an event, with the fields that only earlier events set."""
    if change.kind.sets_all:
        return _columns(change.kind, change.event)
    row: NamedRow = {}
    for event_type, schema_version, payload in await connection.fetch(
        "SELECT event_type, schema_version, payload FROM events"
        " WHERE aggregate_type = $1 AND aggregate_id = $2 AND version < $3 ORDER BY version",
        change.kind.entity.name,
        id_of(change.event),
        change.version,
    ):
        earlier = read_event(event_type, schema_version, payload)
        row |= _columns(kind_of(earlier), earlier)
    return row | _columns(change.kind, change.event)


def _columns(kind: EventKind, event: Event) -> NamedRow:
    """Return the columns that an event sets, except the id, by which the row was found."""
    names = (name for name in columns_of(kind.entity.structure)[1:] if name in kind.members)
    return {name: getattr(event, kind.members[name]) for name in names}


def _fields(line: OrderItem) -> NamedRow:
    """Return a line's columns, except its id, by which the row was found."""
    return {name: getattr(line, name) for name in columns_of(OrderItem)[1:]}
