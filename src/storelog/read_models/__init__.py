"""The read models: what the Query Service reads, each made by events alone, each in a folder.

A folder has `model.py`, which is pure (the collections, what an event does to them, how they are
shown as of an earlier position), and `query.py` (handlers, parameters, routes). Its name in the
list is all that registers it: projector, rebuild, verify and Query Service go by the list.
Next: read_models/read_model.py
"""

READ_MODELS = (
    "customers",
    "products",
    "orders",
    "product_sold",
)
