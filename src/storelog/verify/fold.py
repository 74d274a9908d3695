"""What each event leaves behind, in the plainest code: verify's own fold, which nobody else uses.

A wrong fold of the projector is found because this one says the same in other words: it shares the
reading of payloads, the names of fields and the packing of bytes, and nothing that adds or decides.
Next: verify/expected.py
"""

from dataclasses import dataclass
from typing import Any

from bson.dbref import DBRef
from bson.int64 import Int64

from storelog.domain.money import format_money
from storelog.envelope import format_time, milliseconds
from storelog.histories import Entry
from storelog.ledgers import Fact
from storelog.projector.change import (
    Change,
    CustomerPayload,
    OrderPayload,
    ProductPayload,
    SalePayload,
)
from storelog.read_side import decimal128
from storelog.words import heads_of

Fields = dict[str, Any]
COLLECTIONS = (
    "customers",
    "products",
    "orders",
    "product_sold",
    "customer_names",
    "product_names",
)
# A product's changes that keep its name.
_OF_STOCK = ("StockAdjusted", "OrderDeleted")


@dataclass(slots=True)
class Write:
    """Fields that an event sets on one document; `is_mark`: beside those of the document's owner.

    `is_new`: the document begins with this event.
    """

    collection: str
    document_id: int
    fields: Fields
    is_new: bool = False
    is_mark: bool = False


def writes_of(change: Change) -> list[Write]:
    """Return what an event sets."""
    payload = change.payload
    if isinstance(payload, CustomerPayload):
        return _customer(change, payload)
    if isinstance(payload, ProductPayload):
        return _product(change, payload)
    if isinstance(payload, SalePayload):
        return _sale(change, payload)
    return _order(change, payload)


def _customer(change: Change, customer: CustomerPayload) -> list[Write]:
    number, is_new = Int64(customer.customerId), change.event_type == "CustomerCreated"
    fields = {
        "customer_id": number,
        "name": customer.name,
        "email": customer.email,
        "phoneNumber": customer.phoneNumber,
        **_life(change, customer.deletedAt),
    }
    return [
        Write("customers", number, fields, is_new),
        Write("customer_names", number, _words(change, customer.name), is_new),
    ]


def _product(change: Change, product: ProductPayload) -> list[Write]:
    number, is_new = Int64(product.productId), change.event_type == "ProductCreated"
    fields = {
        "product_id": number,
        "name": product.name,
        "price": decimal128(str(product.price)),
        "stock": product.stock,
        "stockStatus": product.stockStatus,
        **_life(change, product.deletedAt),
    }
    writes = [Write("products", number, fields, is_new)]
    if product.reason not in _OF_STOCK:
        writes.append(Write("product_names", number, _words(change, product.name), is_new))
    return writes


def _sale(change: Change, sale: SalePayload) -> list[Write]:
    product = {
        "stock": sale.remainingStock,
        "stockStatus": sale.stockStatus,
        "version": change.version,
        "position": Int64(change.position),
    }
    sold = {
        "productId": Int64(sale.productId),
        "productName": sale.productName,
        "productPrice": decimal128(str(sale.productPrice)),
        "quantitySold": sale.quantitySold,
        "remainingStock": sale.remainingStock,
        "stockStatus": sale.stockStatus,
        "orderId": Int64(sale.orderId),
        "customerId": Int64(sale.customerId),
        "productTotalPrice": decimal128(str(sale.productTotalPrice)),
        "soldAt": sale.soldAt,
        "position": Int64(change.position),
    }
    return [
        Write("products", Int64(sale.productId), product),
        Write("product_sold", Int64(sale.itemId), sold, is_new=True),
    ]


def _order(change: Change, order: OrderPayload) -> list[Write]:
    customer = Int64(order.customerId)
    items = [
        {
            "itemId": Int64(item.itemId),
            "product": DBRef("products", Int64(item.productId)),
            "productId": Int64(item.productId),
            "productName": item.productName,
            "quantity": item.quantity,
            "price": decimal128(str(item.price)),
        }
        for item in order.orderItems
    ]
    fields = {
        "order_id": Int64(order.orderId),
        "orderDate": order.orderDate,
        "customer": DBRef("customers", customer),
        "customerId": customer,
        "orderItems": items,
        "totalPrice": decimal128(str(order.totalPrice)),
        **_life(change, order.deletedAt),
    }
    is_new = change.event_type == "OrderCreated"
    writes = [Write("orders", Int64(order.orderId), fields, is_new)]
    if change.event_type == "OrderDeleted":
        for item in order.orderItems:
            mark = {"cancelled": True, "cancelPosition": Int64(change.position)}
            writes.append(Write("product_sold", Int64(item.itemId), mark, is_mark=True))
    return writes


def _life(change: Change, deleted_at: Any) -> Fields:
    fields: Fields = {
        "deleted": change.is_deletion,
        "bodyPosition": Int64(change.position),
        "version": change.version,
        "position": Int64(change.position),
    }
    origin = {
        "position": Int64(change.position),
        "recordedAt": change.origin.recorded_at,
        "caller": change.origin.caller,
        "correlationId": change.origin.correlation_id,
    }
    if change.is_deletion:
        fields["deletedAt"], fields["removed"] = deleted_at, origin
    if change.version == 1:
        fields["created"] = origin
    return fields


def _words(change: Change, name: str) -> Fields:
    words = [] if change.is_deletion else heads_of(name)
    return {"words": words, "position": Int64(change.position)}


def fact_of(change: Change) -> Fact | None:
    """Return what an order event adds to the totals, None for other events."""
    order = change.payload
    if not isinstance(order, OrderPayload):
        return None
    lines: dict[int, list[int]] = {}
    for item in order.orderItems:
        line = lines.setdefault(item.productId, [0, 0])
        line[0] += item.quantity
        line[1] += int(item.price * 10_000 * item.quantity)
    packed = tuple((product, units, amount) for product, (units, amount) in lines.items())
    sign = 1 if change.event_type == "OrderCreated" else -1
    return Fact(change.position, sign, milliseconds(order.orderDate), order.customerId, packed)


def entry_of(change: Change) -> Entry:
    """Return what an event of a customer or product adds to its history."""
    payload, facts = change.payload, dict[str, Any]()
    if isinstance(payload, SalePayload):
        facts["stock"] = payload.remainingStock
        facts["stockStatus"] = payload.stockStatus
        facts["orderId"] = payload.orderId
        facts["itemId"] = payload.itemId
        facts["customerId"] = payload.customerId
        facts["quantity"] = payload.quantitySold
        facts["pricePaid"] = format_money(payload.productPrice)
    elif isinstance(payload, ProductPayload):
        facts["name"] = payload.name
        facts["price"] = format_money(payload.price)
        facts["stock"] = payload.stock
        facts["stockStatus"] = payload.stockStatus
        for name in ("reason", "delta", "note", "orderId"):
            if getattr(payload, name) is not None:
                facts[name] = getattr(payload, name)
    elif isinstance(payload, CustomerPayload):
        facts["name"] = payload.name
        facts["email"] = payload.email
        facts["phoneNumber"] = payload.phoneNumber
    origin = change.origin
    return Entry(
        change.position,
        change.version,
        change.event_type,
        origin.recorded_at,
        origin.caller,
        origin.correlation_id,
        facts,
    )


def told_of(change: Change) -> Fields:
    """Return what live readers are told of an event."""
    return {
        "position": change.position,
        "eventType": change.event_type,
        "aggregate": change.aggregate,
        "version": change.version,
        "recordedAt": format_time(change.origin.recorded_at),
        "correlationId": change.origin.correlation_id,
        "change": _members(change),
    }


def _members(change: Change) -> Fields:
    payload = change.payload
    members: Fields = {}
    for name in payload.__struct_fields__:
        if name == "orderItems":
            members["lines"] = len(getattr(payload, name))
        elif name not in ("reason", "delta", "note", "deletedAt"):
            members[name] = getattr(payload, name)
    if isinstance(payload, ProductPayload):
        del members["orderId"]
    for name in ("price", "totalPrice", "productPrice", "productTotalPrice"):
        if name in members:
            members[name] = format_money(members[name])
    for name in ("orderDate", "soldAt"):
        if name in members:
            members[name] = format_time(members[name])
    deleted_at = getattr(payload, "deletedAt", None)
    if deleted_at is not None:
        members["deletedAt"] = format_time(deleted_at)
    return members
