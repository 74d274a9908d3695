"""The collection `orders`: each order with its lines, and a DBRef to its customer.

An order never changes; a deleted one stays as a tombstone. `customerId` is stored beside the DBRef
so that an index can find a customer's orders.
Next: read_models/product_sold/model.py
"""

from storelog.read_models.entities import entity_model
from storelog.shop.events import ORDER

# They find the newest orders: all, those of one customer, and those with one product (one entry for
# each product of an order, however many lines it has). `deleted` comes before the date, so a page
# costs the same however many deleted orders lie between the others.
INDEXES = (
    [("deleted", 1), ("orderDate", 1), ("_id", 1)],
    [("customerId", 1), ("deleted", 1), ("orderDate", 1), ("_id", 1)],
    [("orderItems.productId", 1), ("deleted", 1), ("orderDate", 1), ("_id", 1)],
)
MODELS = (entity_model(ORDER, shape=1, indexes=INDEXES),)
