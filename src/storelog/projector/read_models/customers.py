"""The collection `customers`: who buys.

Next: projector/read_models/products.py
"""

from storelog.projector.change import Change
from storelog.projector.read_models.document import Write, owned
from storelog.shop.events import CUSTOMER

COLLECTION = CUSTOMER.collection
# A page of them is a range. Customers change seldom, unlike products, whose every sale would pay.
INDEXES = [[(CUSTOMER.id_field, 1)]]


def fold(change: Change) -> list[Write]:
    """Return what the change writes here."""
    if change.kind.entity is not CUSTOMER:
        return []
    return [owned(change)]
