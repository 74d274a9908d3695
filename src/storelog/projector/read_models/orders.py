"""The collection `orders`: each order with its lines, and a DBRef to its customer.

An order never changes; deleted, it stays as a tombstone. `customerId` stands beside the DBRef so
that an index can find a customer's orders.
Next: projector/read_models/product_sold.py
"""

from typing import Any

from bson.dbref import DBRef
from bson.int64 import Int64

from storelog.projector.change import Change, ItemPayload, OrderPayload
from storelog.projector.read_models.document import Write, money, owned

COLLECTION = "orders"
# The newest orders, of all, of one customer, and with one product (one entry for each product of
# an order, however many lines it has); also the edges of a range that cuts a day. What is deleted
# stands apart, so that a page costs the same however many others there are.
INDEXES = [
    [("deleted", 1), ("orderDate", 1), ("_id", 1)],
    [("customerId", 1), ("deleted", 1), ("orderDate", 1), ("_id", 1)],
    [("orderItems.productId", 1), ("deleted", 1), ("orderDate", 1), ("_id", 1)],
]


def fold(change: Change) -> list[Write]:
    """Return what the change writes here."""
    payload = change.payload
    if not isinstance(payload, OrderPayload):
        return []
    number, customer = Int64(payload.orderId), Int64(payload.customerId)
    fields = {
        "order_id": number,
        "orderDate": payload.orderDate,
        "customer": DBRef("customers", customer),
        "customerId": customer,
        "orderItems": [_item(item) for item in payload.orderItems],
        "totalPrice": money(payload.totalPrice),
    }
    return [owned(COLLECTION, number, change, fields)]


def _item(item: ItemPayload) -> dict[str, Any]:
    product = Int64(item.productId)
    return {
        "itemId": Int64(item.itemId),
        "product": DBRef("products", product),
        "productId": product,
        "productName": item.productName,
        "quantity": item.quantity,
        "price": money(item.price),
    }
