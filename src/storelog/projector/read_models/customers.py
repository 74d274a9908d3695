"""The collection `customers`: who buys.

Next: projector/read_models/products.py
"""

from bson.int64 import Int64

from storelog.projector.change import Change, CustomerPayload
from storelog.projector.read_models.document import Write, owned
from storelog.projector.read_models.history import entry_of

COLLECTION = "customers"
# A page of them is a range. Customers change seldom, unlike products, whose every sale would pay.
INDEXES = [[("customer_id", 1)]]


def fold(change: Change) -> list[Write]:
    """Return what the change writes here."""
    payload = change.payload
    if not isinstance(payload, CustomerPayload):
        return []
    number = Int64(payload.customerId)
    fields = {
        "customer_id": number,
        "name": payload.name,
        "email": payload.email,
        "phoneNumber": payload.phoneNumber,
    }
    return [owned(COLLECTION, number, change, fields, [entry_of(change)])]
