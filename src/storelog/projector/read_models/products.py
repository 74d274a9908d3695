"""The collection `products`: what is sold, and its stock after the newest event.

Needs no index but `_id`. Next: projector/read_models/product_sold.py
"""

from bson.int64 import Int64

from storelog.projector.change import Change, ProductPayload, SalePayload
from storelog.projector.read_models.document import Write, money, owned, placed
from storelog.projector.read_models.history import entry_of

COLLECTION = "products"


def fold(change: Change) -> list[Write]:
    """Return what the change writes here: a sale sets the stock only, other events all fields."""
    payload = change.payload
    if isinstance(payload, SalePayload):
        stock = {"stock": payload.remainingStock, "stockStatus": payload.stockStatus}
        number = Int64(payload.productId)
        fields = {**stock, **placed(change)}
        return [Write(COLLECTION, number, fields, change.position, entries=[entry_of(change)])]
    if not isinstance(payload, ProductPayload):
        return []
    number = Int64(payload.productId)
    fields = {
        "product_id": number,
        "name": payload.name,
        "price": money(payload.price),
        "stock": payload.stock,
        "stockStatus": payload.stockStatus,
    }
    return [owned(COLLECTION, number, change, fields, [entry_of(change)])]
