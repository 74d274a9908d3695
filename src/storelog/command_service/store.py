"""The pipeline's SQL: read state, append a batch, look up a batch whose answer was lost.

Guarantees that a batch lands whole or not at all, in one statement; never reads with a lock but
on the head. Every connection has time-outs, so that a paused process cannot hold the head.
Next: relay/relay.py
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from storelog.command_service.batch import (
    Key,
    Remembered,
    Writes,
    headers_to_json,
    response_from_row,
)
from storelog.command_service.state import Head, State
from storelog.domain.customer import Customer
from storelog.domain.order import Order, OrderItem
from storelog.domain.product import Product
from storelog.envelope import Envelope

Connection = asyncpg.Connection
SESSION_SETTINGS = {
    "application_name": "storelog command-service",
    "idle_in_transaction_session_timeout": "1000",
    "statement_timeout": "5000",
    "lock_timeout": "4000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "synchronous_commit": "on",
    "jit": "off",
}
# The server is away or the connection broke: what was asked for may have been done or not.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
_HEAD_MOVED = "SL001"
_SEQUENCES = {
    "customer": "customers_customer_id_seq",
    "product": "products_product_id_seq",
    "order": "orders_order_id_seq",
    "item": "order_items_item_id_seq",
}
_EVENT_COLUMNS = """position, hash, event_id, aggregate_type, aggregate_id, version, event_type,
    schema_version, payload, occurred_at, recorded_at, correlation_id, causation_id, caller,
    traceparent"""


async def connect(postgres_url: str) -> Connection:
    """Open a writing connection within 1 s. Raises OSError, TimeoutError, PostgresError."""
    return await asyncpg.connect(postgres_url, timeout=0.9, server_settings=SESSION_SETTINGS)


async def read_head(connection: Connection, *, lock: bool = False) -> Head:
    """Return the log's head; with `lock`, hold it until the transaction ends."""
    tail = " FOR UPDATE" if lock else ""
    row = await connection.fetchrow(
        f"SELECT position, hash, nullif(recorded_at, '-infinity') AS at FROM log_head{tail}"
    )
    head = Head(row["position"], row["hash"])
    return head if row["at"] is None else Head(head.position, head.hash, row["at"])


async def new_ids(connection: Connection, kind: str, count: int) -> list[int]:
    """Return `count` ids of the kind (customer, product, order, item) that no one else gets."""
    rows = await connection.fetch(
        "SELECT nextval($1::text::regclass) AS id FROM generate_series(1, $2)",
        _SEQUENCES[kind],
        count,
    )
    return [row["id"] for row in rows]


async def load(
    connection: Connection,
    state: State,
    customer_ids: Iterable[int],
    product_ids: Iterable[int],
    order_ids: Iterable[int],
) -> None:
    """Put what `state` does not know of these aggregates into it; None for what does not exist."""
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


async def _load_customers(connection: Connection, state: State, ids: Sequence[int]) -> None:
    state.customers.update(dict.fromkeys(ids))
    rows = await connection.fetch(
        "SELECT customer_id, name, email, phone_number, version, is_deleted"
        " FROM customers WHERE customer_id = ANY ($1)",
        ids,
    )
    state.customers.update({row["customer_id"]: Customer(*row) for row in rows})


async def _load_products(connection: Connection, state: State, ids: Sequence[int]) -> None:
    state.products.update(dict.fromkeys(ids))
    rows = await connection.fetch(
        "SELECT product_id, name, price, stock, version, is_deleted"
        " FROM products WHERE product_id = ANY ($1)",
        ids,
    )
    state.products.update({row["product_id"]: Product(*row) for row in rows})


async def _load_orders(connection: Connection, state: State, ids: Sequence[int]) -> None:
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
        "SELECT order_id, order_date, customer_id, total_price, version, is_deleted"
        " FROM orders WHERE order_id = ANY ($1)",
        ids,
    )
    for order_id, order_date, customer_id, total, version, is_deleted in rows:
        lines = tuple(items.get(order_id, ()))
        order = Order(order_id, order_date, customer_id, lines, total, version, is_deleted)
        state.orders[order_id] = order


async def read_answers(connection: Connection, keys: Sequence[Key]) -> dict[Key, Remembered]:
    """Return the answers that are remembered for the keys and have not expired."""
    rows = await connection.fetch(
        "SELECT k.caller, k.key, request_hash, status, headers, body FROM idempotency_keys k"
        " JOIN unnest($1::text[], $2::text[]) AS a(caller, key) USING (caller, key)"
        " WHERE expires_at IS NULL OR expires_at >= now()",
        [caller for caller, _ in keys],
        [key for _, key in keys],
    )
    return {
        (row["caller"], row["key"]): Remembered(
            row["request_hash"], response_from_row(row["status"], row["headers"], row["body"])
        )
        for row in rows
    }


class Conflicted(Exception):
    """Somebody else wrote meanwhile; nothing of this batch was written."""


@asynccontextmanager
async def head_locked(connection: Connection) -> AsyncIterator[None]:
    """Hold the log's head: whoever else wants to write waits until the transaction ends."""
    try:
        async with connection.transaction():
            await read_head(connection, lock=True)
            yield
    except (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError) as error:
        raise Conflicted from error


async def append(connection: Connection, writes: Writes) -> None:
    """Write a whole batch in one call. Raises Conflicted, and then nothing was written."""
    if not writes.events and not writes.answers:
        if (await read_head(connection)).position != writes.base.position:
            raise Conflicted
        return
    try:
        await connection.execute(
            "SELECT append_batch($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)", *_arguments(writes)
        )
    except (
        asyncpg.UniqueViolationError,
        asyncpg.LockNotAvailableError,
        asyncpg.TransactionRollbackError,
    ) as error:
        raise Conflicted from error
    except asyncpg.PostgresError as error:
        if error.sqlstate == _HEAD_MOVED:
            raise Conflicted from error
        raise


def _arguments(writes: Writes) -> list[Any]:
    return [
        writes.base.position,
        writes.base.hash,
        writes.head.recorded_at,
        [
            _event_row(event, payload_hash)
            for event, payload_hash in zip(writes.events, writes.payload_hashes, strict=True)
        ],
        [_customer_row(c) for c in writes.new_customers.values()],
        [_customer_row(c) for c in writes.customers.values()],
        [_product_row(p) for p in writes.new_products.values()],
        [_product_row(p) for p in writes.products.values()],
        [(o.order_id, o.order_date, o.customer_id, o.total_price) for o in writes.new_orders],
        [
            (i.item_id, o.order_id, i.product_id, i.product_name, i.quantity, i.price)
            for o in writes.new_orders
            for i in o.items
        ],
        writes.deleted_orders,
        [
            (
                *key,
                first.request_hash,
                first.response.status,
                headers_to_json(first.response),
                first.response.body,
                expires_at,
            )
            for key, (first, expires_at) in writes.answers.items()
        ],
    ]


def _event_row(event: Envelope, payload_hash: bytes) -> tuple[Any, ...]:
    return (
        event.hash,
        event.event_id,
        event.aggregate_type,
        event.aggregate_id,
        event.version,
        event.event_type,
        event.schema_version,
        event.payload.decode(),
        payload_hash,
        event.occurred_at,
        event.correlation_id,
        event.causation_id,
        event.caller,
        event.traceparent,
    )


def _customer_row(c: Customer) -> tuple[Any, ...]:
    return (c.customer_id, c.name, c.email, c.phone_number, c.version, c.is_deleted)


def _product_row(p: Product) -> tuple[Any, ...]:
    return (p.product_id, p.name, p.price, p.stock, p.version, p.is_deleted)


async def has_landed(connection: Connection, writes: Writes) -> bool:
    """Tell whether a batch whose answer was lost is in the log.

    Takes the head's lock first, so that the lost transaction has ended, and then looks in a new
    statement: its first event is at one known position, or not there.
    """
    async with connection.transaction():
        await read_head(connection, lock=True)
        event_id = await connection.fetchval(
            "SELECT event_id FROM events WHERE position = $1", writes.base.position + 1
        )
    return bool(writes.events) and event_id == writes.events[0].event_id


async def read_events(
    pool: asyncpg.Pool, aggregate: str | None, after: int, limit: int
) -> list[Envelope]:
    """Return at most `limit` events above position `after`, all or one aggregate's."""
    if aggregate is None:
        rows = await pool.fetch(
            f"SELECT {_EVENT_COLUMNS} FROM events WHERE position > $1 ORDER BY position LIMIT $2",
            after,
            limit,
        )
    else:
        kind, _, number = aggregate.rpartition("-")
        rows = await pool.fetch(
            f"SELECT {_EVENT_COLUMNS} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2"
            " AND position > $3 ORDER BY version LIMIT $4",
            kind,
            int(number),
            after,
            limit,
        )
    return [envelope_from_row(row) for row in rows]


def envelope_from_row(row: Sequence[Any]) -> Envelope:
    """Return the envelope from a row of `_EVENT_COLUMNS`."""
    position, event_hash, event_id, kind, number, version, event_type, schema, payload, *rest = row
    raw = payload if isinstance(payload, str) else json.dumps(payload)
    return Envelope(
        position,
        event_hash,
        event_id,
        kind,
        number,
        version,
        event_type,
        schema,
        raw.encode(),
        *rest,
    )
