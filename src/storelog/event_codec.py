"""Domain events to the contract's payloads, and Kafka's value around them.

The bytes made here are what is stored in the log, hashed, and published unparsed: an event is
encoded once in its life.
Next: command_service/store.py
"""

from typing import Any
from zlib import crc32

import msgspec

from storelog.domain.customer import Customer, CustomerCreated, CustomerDeleted, CustomerUpdated
from storelog.domain.money import format_money
from storelog.domain.order import Order, OrderCreated, OrderDeleted
from storelog.domain.product import (
    Product,
    ProductCreated,
    ProductDeleted,
    ProductSold,
    ProductUpdated,
)
from storelog.envelope import Envelope, format_time
from storelog.errors import PoisonRecord
from storelog.upcasters import upcast

Json = dict[str, Any]
Event = (
    CustomerCreated
    | CustomerUpdated
    | CustomerDeleted
    | ProductCreated
    | ProductUpdated
    | ProductSold
    | ProductDeleted
    | OrderCreated
    | OrderDeleted
)


def customer_body(customer: Customer) -> Json:
    """Return the customer as the contract shows it."""
    return {
        "customerId": customer.customer_id,
        "name": customer.name,
        "email": customer.email,
        "phoneNumber": customer.phone_number,
    }


def product_body(product: Product) -> Json:
    """Return the product as the contract shows it."""
    return {
        "productId": product.product_id,
        "name": product.name,
        "price": format_money(product.price),
        "stock": product.stock,
        "stockStatus": product.stock_status,
    }


def order_body(order: Order) -> Json:
    """Return the order as the contract shows it."""
    return {
        "orderId": order.order_id,
        "orderDate": format_time(order.order_date),
        "customerId": order.customer_id,
        "orderItems": [
            {
                "itemId": item.item_id,
                "productId": item.product_id,
                "productName": item.product_name,
                "quantity": item.quantity,
                "price": format_money(item.price),
            }
            for item in order.items
        ],
        "totalPrice": format_money(order.total_price),
    }


def payload_of(event: Event) -> Json:
    """Return the event's payload, in the current schema version."""
    match event:
        case CustomerCreated() | CustomerUpdated():
            return customer_body(event.customer)
        case CustomerDeleted():
            return {**customer_body(event.customer), "deletedAt": format_time(event.deleted_at)}
        case ProductCreated():
            return product_body(event.product)
        case ProductUpdated():
            return product_body(event.product) | _reason_of(event)
        case ProductSold():
            return _sale(event)
        case ProductDeleted():
            return {**product_body(event.product), "deletedAt": format_time(event.deleted_at)}
        case OrderCreated():
            return order_body(event.order)
        case OrderDeleted():
            return {**order_body(event.order), "deletedAt": format_time(event.deleted_at)}


def _reason_of(event: ProductUpdated) -> Json:
    extra: Json = {"reason": event.reason}
    if event.reason == "StockAdjusted":
        extra |= {"delta": event.delta, "note": event.note}
    if event.reason == "OrderDeleted":
        extra["orderId"] = event.order_id
        extra["returned"] = [
            {
                "itemId": line.item_id,
                "quantity": line.quantity,
                "productTotalPrice": format_money(line.amount),
                "soldAt": format_time(line.sold_at),
            }
            for line in event.returned
        ]
    return extra


def _sale(event: ProductSold) -> Json:
    return {
        "itemId": event.item_id,
        "productId": event.product.product_id,
        "productName": event.product.name,
        "productPrice": format_money(event.price),
        "quantitySold": event.quantity,
        "remainingStock": event.product.stock,
        "stockStatus": event.product.stock_status,
        "orderId": event.order_id,
        "customerId": event.customer_id,
        "productTotalPrice": format_money(event.amount),
        "soldAt": format_time(event.sold_at),
    }


def aggregate_of(event: Event) -> tuple[str, int, int]:
    """Return the event's aggregate type, id and version."""
    match event:
        case CustomerCreated() | CustomerUpdated() | CustomerDeleted():
            return "customer", event.customer.customer_id, event.customer.version
        case OrderCreated() | OrderDeleted():
            return "order", event.order.order_id, event.order.version
        case _:
            return "product", event.product.product_id, event.product.version


encode_json = msgspec.json.Encoder().encode


def kafka_value(event_type: str, payload: bytes) -> bytes:
    """Return `{"eventType": ..., "payload": ...}` around payload bytes that stay as written."""
    return b'{"eventType":"%b","payload":%b}' % (event_type.encode(), payload)


def read_payload(event_type: str, schema_version: int, payload: bytes) -> Json:
    """Return the payload as JSON in its current version. Raises PoisonRecord."""
    try:
        parsed = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonRecord(f"the payload is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise PoisonRecord("the payload is not a JSON object")
    return upcast(event_type, schema_version, parsed)


def event_body(event: Envelope) -> bytes:
    """Return the event as `GET /events` shows it, its payload's bytes as they were written."""
    facts = {
        "position": event.position,
        "eventId": str(event.event_id),
        "eventType": event.event_type,
        "aggregate": event.aggregate,
        "version": event.version,
        "schemaVersion": event.schema_version,
        "occurredAt": format_time(event.occurred_at),
        "recordedAt": format_time(event.recorded_at),
        "correlationId": event.correlation_id,
    }
    return b'%b,"payload":%b}' % (encode_json(facts)[:-1], event.payload)


class _OrderOwner(msgspec.Struct):
    customerId: int


_read_owner = msgspec.json.Decoder(_OrderOwner).decode


def lane_of(aggregate: str, lanes: int) -> int:
    """Return the lane (0 to lanes-1) of an aggregate's name, the same in every process."""
    return crc32(aggregate.encode()) % lanes


def lane_of_event(aggregate_type: str, aggregate: str, payload: bytes, lanes: int) -> int:
    """Return an event's lane: products by product, customers and orders by customer."""
    if aggregate_type == "order":
        aggregate = f"customer-{_read_owner(payload).customerId}"
    return lane_of(aggregate, lanes)
