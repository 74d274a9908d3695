"""The collection `products`: what is sold, and its stock after the newest event.

Needs no index but `_id`. Next: projector/read_models/product_sold.py
"""

from storelog.projector.change import Change
from storelog.projector.read_models.document import Write, owned
from storelog.shop.events import PRODUCT

COLLECTION = PRODUCT.collection


def fold(change: Change) -> list[Write]:
    """Return what the change writes here: a sale sets the stock only, other events all fields."""
    if change.kind.entity is not PRODUCT:
        return []
    return [owned(change)]
