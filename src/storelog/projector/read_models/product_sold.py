"""The collection `product_sold`: one document for each order line, `_id` the itemId.

The sale itself is written by the product's lane. `cancelled` is set by the customer's lane, when
the order is deleted, in any order with the sale; a document that has only that mark is no sale yet.
Next: projector/read_models/ledger.py
"""

from bson.int64 import Int64

from storelog.projector.change import Change, OrderPayload, SalePayload
from storelog.projector.read_models.document import Write, money

COLLECTION = "product_sold"
# Sales of one product by time, cancelled ones apart; those of an order are found by its items' ids.
INDEXES = [[("productId", 1), ("cancelled", 1), ("soldAt", 1), ("orderId", 1), ("_id", 1)]]


def fold(change: Change) -> list[Write]:
    """Return what the change writes here."""
    payload = change.payload
    if isinstance(payload, SalePayload):
        return [_sale(payload, change)]
    if isinstance(payload, OrderPayload) and change.is_deletion:
        mark = {"cancelled": True, "cancelPosition": Int64(change.position)}
        return [
            Write(COLLECTION, Int64(item.itemId), mark, change.position, is_mark=True)
            for item in payload.orderItems
        ]
    return []


def _sale(payload: SalePayload, change: Change) -> Write:
    fields = {
        "productId": Int64(payload.productId),
        "productName": payload.productName,
        "productPrice": money(payload.productPrice),
        "quantitySold": payload.quantitySold,
        "remainingStock": payload.remainingStock,
        "stockStatus": payload.stockStatus,
        "orderId": Int64(payload.orderId),
        "customerId": Int64(payload.customerId),
        "productTotalPrice": money(payload.productTotalPrice),
        "soldAt": payload.soldAt,
        "position": Int64(change.position),
    }
    return Write(
        COLLECTION,
        Int64(payload.itemId),
        fields,
        change.position,
        is_new=True,
        is_whole=True,
    )
