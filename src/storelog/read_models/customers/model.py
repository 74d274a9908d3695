"""The collections `customers` and `customer_names`: customers, and the words that find them.

Next: read_models/products/model.py
"""

from storelog.read_models.entities import entity_model
from storelog.read_models.names import names_model
from storelog.shop.events import CUSTOMER

MODELS = (
    # In this index a page is a range. Products have none: each sale would pay for its upkeep, while
    # customers change seldom.
    entity_model(CUSTOMER, shape=1, indexes=([(CUSTOMER.id_field, 1)],)),
    names_model(CUSTOMER),
)
