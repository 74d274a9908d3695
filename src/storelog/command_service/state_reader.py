"""Reads what a batch is decided on: aggregates, remembered answers, new ids.

Reads without locks: a decision made on what is read here lands only if the log's head has not
moved since. Next: shop/order.py
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TypeVar, assert_never

import asyncpg
from msgspec import Struct

from storelog.command_service.batch import Key, Remembered, response_from_row
from storelog.command_service.state import State
from storelog.command_service.submission import Command
from storelog.sequences import SEQUENCES
from storelog.shop.aggregate import Aggregate
from storelog.shop.columns import OF_AGGREGATES, entity_of, read_columns_of
from storelog.shop.customer import CreateCustomer, Customer, DeleteCustomer, UpdateCustomer
from storelog.shop.order import DeleteOrder, Order, OrderItem, PlaceOrder
from storelog.shop.product import (
    AdjustStock,
    CreateProduct,
    DeleteProduct,
    Product,
    UpdateProduct,
)

E = TypeVar("E", bound=Struct)
_SEQUENCES = dict(zip(("customer", "product", "order", "item"), SEQUENCES, strict=True))


async def new_ids(connection: asyncpg.Connection, kind: str, count: int) -> list[int]:
    """Return `count` ids of the kind (customer, product, order, item) that no one else gets."""
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
    customers: set[int] = set()
    products: set[int] = set()
    orders: set[int] = set()
    for command in commands:
        match command:
            case PlaceOrder(order=order):
                customers.add(order.customer_id)
                products.update(line.product_id for line in order.order_items)
            case DeleteOrder(order_id=order_id):
                orders.add(order_id)
            case UpdateCustomer(customer_id=customer_id) | DeleteCustomer(customer_id=customer_id):
                customers.add(customer_id)
            case CreateCustomer() | CreateProduct():
                pass
            case UpdateProduct() | AdjustStock() | DeleteProduct():
                products.add(command.product_id)
            case _:
                assert_never(command)
    await load(connection, state, customers, products, orders)


async def load(
    connection: asyncpg.Connection,
    state: State,
    customer_ids: Iterable[int],
    product_ids: Iterable[int],
    order_ids: Iterable[int],
) -> None:
    """Put what `state` does not know of these aggregates into it; None for what does not exist."""
    touched = {i: state.orders_before[i] for i in order_ids if i in state.orders_before}
    state.orders = touched | state.orders
    orders = [i for i in order_ids if i not in state.orders]
    if orders:
        await _load_orders(connection, state, orders)
    wanted = set(product_ids)
    for order_id in orders:
        order = state.orders[order_id]
        wanted.update(item.product_id for item in order.entity.order_items) if order else None
    customers = [i for i in customer_ids if i not in state.customers]
    if customers:
        await _load_customers(connection, state, customers)
    products = [i for i in wanted if i not in state.products]
    if products:
        await _load_products(connection, state, products)


async def _load_customers(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.customers.update(dict.fromkeys(ids))
    async for number, aggregate in _aggregates(connection, "customers", Customer, ids):
        state.customers[number] = aggregate


async def _load_products(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.products.update(dict.fromkeys(ids))
    async for number, aggregate in _aggregates(connection, "products", Product, ids):
        state.products[number] = aggregate


async def _load_orders(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.orders.update(dict.fromkeys(ids))
    items: dict[int, list[OrderItem]] = {}
    columns = read_columns_of(OrderItem)
    rows = await connection.fetch(
        f"SELECT order_id, {', '.join(columns)}"
        " FROM order_items WHERE order_id = ANY ($1) ORDER BY item_id",
        ids,
    )
    for order_id, *item in rows:
        items.setdefault(order_id, []).append(entity_of(OrderItem, item))
    lines = {number: tuple(some) for number, some in items.items()}
    async for number, aggregate in _aggregates(connection, "orders", Order, ids, lines):
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
        more = {} if lines is None else {"order_items": lines.get(row[0], ())}
        yield row[0], Aggregate(entity_of(structure, row, **more), version, is_deleted)


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
