"""The collection `customers`: who buys. Needs no index but `_id`.

Next: projector/read_models/products.py
"""

from bson.int64 import Int64

from storelog.projector.change import Change, CustomerPayload
from storelog.projector.read_models.document import Write, owned
from storelog.projector.read_models.history import entry_of

COLLECTION = "customers"


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
