"""Reads what a batch is decided on: aggregates, remembered answers, new ids.

Reads without locks: a decision made on what is read here lands only if the log's head has not
moved since. Next: shop/order.py
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg
from msgspec import Struct

from storelog.command_service.batch import Key, Remembered, response_from_row
from storelog.command_service.state import State
from storelog.sequences import SEQUENCES
from storelog.shop.aggregate import Aggregate
from storelog.shop.columns import LINES_TABLE, OF_AGGREGATES, read_columns_of, read_row
from storelog.shop.commands import LINE, Command, entity_of, named
from storelog.shop.customer import Customer
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, ENTITIES, ORDER, PRODUCT
from storelog.shop.order import Order, OrderItem
from storelog.shop.product import Product
from storelog.shop.unique import Holders

E = TypeVar("E", bound=Struct)
_SEQUENCES = dict(zip((*(each.name for each in ENTITIES), LINE), SEQUENCES, strict=True))


async def new_ids(connection: asyncpg.Connection, kind: str, count: int) -> list[int]:
    """Return `count` ids of the kind, an entity's name or LINE, that no one else gets."""
    rows = await connection.fetch(
        "SELECT nextval($1::text::regclass) AS id FROM generate_series(1, $2)",
        _SEQUENCES[kind],
        count,
    )
    return [row["id"] for row in rows]


async def load_for(
    connection: asyncpg.Connection, state: State, commands: Iterable[Command]
) -> None:
    """Put what the commands are decided on into `state`."""
    wanted: dict[str, set[int]] = {entity.collection: set() for entity in ENTITIES}
    asked: dict[tuple[EntityKind, str], set[Any]] = {}
    for command in commands:
        for collection, number in named(command):
            wanted[collection].add(number)
        said: Struct | None = getattr(command, "said", None)
        if said is not None:
            entity = entity_of(command)
            for name, value in state.holders.unknown(entity, said):
                asked.setdefault((entity, name), set()).add(value)
    await load(connection, state, **wanted)
    for (entity, name), values in asked.items():
        await load_holders(connection, state.holders, entity, name, values)


async def load_holders(
    connection: asyncpg.Connection,
    holders: Holders,
    entity: EntityKind,
    name: str,
    values: set[Any],
) -> None:
    """Put into `holders` which entities have the values of a unique field."""
    rows = await connection.fetch(
        f"SELECT {name}, {entity.id_field} FROM {entity.collection}"
        f" WHERE {name} = ANY ($1) AND NOT is_deleted",
        list(values),
    )
    holders.of(entity, name).update({**dict.fromkeys(values), **dict(map(tuple, rows))})


async def load(
    connection: asyncpg.Connection,
    state: State,
    customers: Iterable[int],
    products: Iterable[int],
    orders: Iterable[int],
) -> None:
    """Put what `state` does not know of these aggregates into it; None for what does not exist."""
    touched = {i: state.orders_before[i] for i in orders if i in state.orders_before}
    state.orders = touched | state.orders
    missing = [i for i in orders if i not in state.orders]
    if missing:
        await _load_orders(connection, state, missing)
    of_lines = {
        item.product_id
        for order in map(state.orders.get, missing)
        if order is not None
        for item in order.entity.order_items
    }
    missing = [i for i in customers if i not in state.customers]
    if missing:
        await _load_customers(connection, state, missing)
    missing = [i for i in of_lines.union(products) if i not in state.products]
    if missing:
        await _load_products(connection, state, missing)


async def _load_customers(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.customers.update(dict.fromkeys(ids))
    async for number, aggregate in _aggregates(connection, CUSTOMER.collection, Customer, ids):
        state.customers[number] = aggregate


async def _load_products(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.products.update(dict.fromkeys(ids))
    async for number, aggregate in _aggregates(connection, PRODUCT.collection, Product, ids):
        state.products[number] = aggregate


async def _load_orders(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.orders.update(dict.fromkeys(ids))
    items: dict[int, list[OrderItem]] = {}
    columns = read_columns_of(OrderItem)
    rows = await connection.fetch(
        f"SELECT {ORDER.id_field}, {', '.join(columns)} FROM {LINES_TABLE}"
        f" WHERE {ORDER.id_field} = ANY ($1) ORDER BY {columns[0]}",
        ids,
    )
    for order_id, *item in rows:
        items.setdefault(order_id, []).append(read_row(OrderItem, item))
    lines = {number: tuple(some) for number, some in items.items()}
    async for number, aggregate in _aggregates(connection, ORDER.collection, Order, ids, lines):
        state.orders[number] = aggregate


async def _aggregates(
    connection: asyncpg.Connection,
    table: str,
    structure: type[E],
    ids: Sequence[int],
    lines: Mapping[int, tuple[OrderItem, ...]] | None = None,
) -> AsyncIterator[tuple[int, Aggregate[E]]]:
    """Yield the aggregates of a table that have these ids."""
    columns = read_columns_of(structure)
    read = ", ".join((*columns, *OF_AGGREGATES))
    rows = await connection.fetch(f"SELECT {read} FROM {table} WHERE {columns[0]} = ANY ($1)", ids)
    for *row, version, is_deleted in rows:
        entity = read_row(structure, row, (lines or {}).get(row[0], ()))
        yield row[0], Aggregate(entity, version, is_deleted)


async def read_answers(
    connection: asyncpg.Connection, hashes: Mapping[Key, bytes]
) -> dict[Key, Remembered]:
    """Return the answers that are remembered for the keys and have not expired.

    Without its body where the request is another one (`hashes`): that may be larger by far.
    """
    rows = await connection.fetch(
        "SELECT k.caller, k.key, k.request_hash, status, headers, event_position,"
        " CASE WHEN k.request_hash = a.request_hash THEN body END AS body,"
        " CASE WHEN k.request_hash = a.request_hash THEN"
        " (SELECT payload FROM events WHERE position = k.event_position) END AS payload"
        " FROM idempotency_keys k"
        " JOIN unnest($1::text[], $2::text[], $3::bytea[]) AS a(caller, key, request_hash)"
        " USING (caller, key)"
        " WHERE expires_at IS NULL OR expires_at >= now()",
        [caller for caller, _ in hashes],
        [key for _, key in hashes],
        list(hashes.values()),
    )
    return {(row["caller"], row["key"]): _remembered(row) for row in rows}


def _remembered(row: asyncpg.Record) -> Remembered:
    position = row["event_position"]
    body = row["body"] or (row["payload"] or "").encode()
    response = response_from_row(row["status"], row["headers"], body)
    return Remembered(row["request_hash"], response, position)
