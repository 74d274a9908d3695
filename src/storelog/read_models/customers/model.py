"""The collections `customers` and `customer_names`: who buys, and by what words they are found.

Next: read_models/products/model.py
"""

from storelog.read_models.entities import entity_model
from storelog.read_models.names import names_model
from storelog.shop.events import CUSTOMER

MODELS = (
    # A page of them is a range. Customers change seldom, unlike products, whose every sale would
    # pay for an index.
    entity_model(CUSTOMER, shape=1, indexes=([(CUSTOMER.id_field, 1)],)),
    names_model(CUSTOMER),
)
