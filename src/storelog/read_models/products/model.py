"""The collections `products` and `product_names`: products with their stock after the last event.

A sale sets the stock only; other events set all fields. Next: read_models/orders/model.py
"""

from storelog.read_models.entities import entity_model
from storelog.read_models.names import names_model
from storelog.shop.events import PRODUCT

MODELS = (
    entity_model(PRODUCT, shape=1, indexes=()),
    names_model(PRODUCT),
)
