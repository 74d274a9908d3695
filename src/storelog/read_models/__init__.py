"""The read models, which the Query Service reads: each is made from events alone, in one folder.

A folder has `model.py`, which is pure (the collections, what an event does to them, how they are
shown as of an earlier position), and `query.py` (handlers, parameters, routes). Its name in the
list registers it for the projector, rebuild, verify and the Query Service.
Next: read_models/read_model.py
"""

READ_MODELS = (
    "customers",
    "products",
    "orders",
    "product_sold",
)
