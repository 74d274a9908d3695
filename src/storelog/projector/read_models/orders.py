"""The collection `orders`: each order with its lines, and a DBRef to its customer.

An order never changes; deleted, it stays as a tombstone. `customerId` stands beside the DBRef so
that an index can find a customer's orders.
Next: projector/read_models/product_sold.py
"""

from storelog.projector.change import Change
from storelog.projector.read_models.document import Write, owned
from storelog.shop.events import ORDER

COLLECTION = ORDER.collection
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
    return [owned(change)] if change.kind.entity is ORDER else []
