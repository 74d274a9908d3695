"""Reads what a batch is decided on: aggregates, remembered answers, new ids.

Reads without locks: a decision made on what is read here lands only if the log's head has not
moved since. Next: domain/order.py
"""

from collections.abc import Iterable, Sequence

import asyncpg

from storelog.command_service.batch import Key, Remembered, response_from_row
from storelog.command_service.state import State
from storelog.command_service.submission import Command
from storelog.domain.customer import CreateCustomer, Customer, DeleteCustomer, UpdateCustomer
from storelog.domain.order import DeleteOrder, Order, OrderItem, PlaceOrder
from storelog.domain.product import CreateProduct, Product
from storelog.sequences import SEQUENCES

_SEQUENCES = dict(zip(("customer", "product", "order", "item"), SEQUENCES, strict=True))


# Earlier releases took an order of the first moment of all; the driver writes that as -infinity.
_ORDER_DATE = "greatest(order_date, '0001-01-01T00:00:00Z')"


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
            case PlaceOrder(customer_id=customer_id, lines=lines):
                customers.add(customer_id)
                products.update(line.product_id for line in lines)
            case DeleteOrder(order_id=order_id):
                orders.add(order_id)
            case UpdateCustomer(customer_id=customer_id) | DeleteCustomer(customer_id=customer_id):
                customers.add(customer_id)
            case CreateCustomer() | CreateProduct():
                pass
            case other:
                products.add(other.product_id)
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
        wanted.update(item.product_id for item in order.items) if order else None
    customers = [i for i in customer_ids if i not in state.customers]
    if customers:
        await _load_customers(connection, state, customers)
    products = [i for i in wanted if i not in state.products]
    if products:
        await _load_products(connection, state, products)


async def _load_customers(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.customers.update(dict.fromkeys(ids))
    rows = await connection.fetch(
        "SELECT customer_id, name, email, phone_number, version, is_deleted"
        " FROM customers WHERE customer_id = ANY ($1)",
        ids,
    )
    state.customers.update({row["customer_id"]: Customer(*row) for row in rows})


async def _load_products(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.products.update(dict.fromkeys(ids))
    rows = await connection.fetch(
        "SELECT product_id, name, price, stock, version, is_deleted"
        " FROM products WHERE product_id = ANY ($1)",
        ids,
    )
    state.products.update({row["product_id"]: Product(*row) for row in rows})


async def _load_orders(connection: asyncpg.Connection, state: State, ids: Sequence[int]) -> None:
    state.orders.update(dict.fromkeys(ids))
    items: dict[int, list[OrderItem]] = {}
    rows = await connection.fetch(
        "SELECT order_id, item_id, product_id, product_name, quantity, price"
        " FROM order_items WHERE order_id = ANY ($1) ORDER BY item_id",
        ids,
    )
    for order_id, *item in rows:
        items.setdefault(order_id, []).append(OrderItem(*item))
    rows = await connection.fetch(
        f"SELECT order_id, {_ORDER_DATE}, customer_id, total_price, version, is_deleted"
        " FROM orders WHERE order_id = ANY ($1)",
        ids,
    )
    for order_id, order_date, customer_id, total, version, is_deleted in rows:
        lines = tuple(items.get(order_id, ()))
        order = Order(order_id, order_date, customer_id, lines, total, version, is_deleted)
        state.orders[order_id] = order


async def read_answers(
    connection: asyncpg.Connection, keys: Sequence[Key]
) -> dict[Key, Remembered]:
    """Return the answers that are remembered for the keys and have not expired."""
    rows = await connection.fetch(
        "SELECT k.caller, k.key, request_hash, status, headers, body, event_position,"
        " (SELECT payload FROM events WHERE position = k.event_position) AS payload"
        " FROM idempotency_keys k"
        " JOIN unnest($1::text[], $2::text[]) AS a(caller, key) USING (caller, key)"
        " WHERE expires_at IS NULL OR expires_at >= now()",
        [caller for caller, _ in keys],
        [key for _, key in keys],
    )
    return {(row["caller"], row["key"]): _remembered(row) for row in rows}


def _remembered(row: asyncpg.Record) -> Remembered:
    position = row["event_position"]
    body = row["body"] if position is None else row["payload"].encode()
    response = response_from_row(row["status"], row["headers"], body)
    return Remembered(row["request_hash"], response, position)
