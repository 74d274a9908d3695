"""The collection `orders`: each order with its lines, and a DBRef to its customer.

An order never changes; deleted, it stays as a tombstone. `customerId` stands beside the DBRef so
that an index can find a customer's orders.
Next: read_models/product_sold/model.py
"""

from storelog.read_models.entities import entity_model
from storelog.shop.events import ORDER

# The newest orders, of all, of one customer, and with one product (one entry for each product of
# an order, however many lines it has); also the edges of a range that cuts a day. What is deleted
# stands apart, so that a page costs the same however many others there are.
INDEXES = (
    [("deleted", 1), ("orderDate", 1), ("_id", 1)],
    [("customerId", 1), ("deleted", 1), ("orderDate", 1), ("_id", 1)],
    [("orderItems.productId", 1), ("deleted", 1), ("orderDate", 1), ("_id", 1)],
)
MODELS = (entity_model(ORDER, shape=1, indexes=INDEXES),)
