"""The collection `product_sold`: one document for each order line, `_id` the itemId.

The product's lane writes the sale itself. The customer's lane sets `cancelled` when the order is
deleted, and may do so before the sale is written: a document with only that mark is not a sale yet.
Next: projector/fold/order_facts.py
"""

from typing import assert_never

from bson.int64 import Int64

from storelog.documents.forms import document_of, types_of
from storelog.read_models.change import Change
from storelog.read_models.read_model import DocumentModel, Fields, Write
from storelog.shop.product import ProductSold

COLLECTION = "product_sold"
# Finds the sales of one product by time, cancelled ones apart. The sales of an order need no index:
# the ids of its items are their `_id`.
INDEXES = ([("productId", 1), ("cancelled", 1), ("soldAt", 1), ("orderId", 1), ("_id", 1)],)


def fold(change: Change) -> list[Write]:
    """Return the writes that a change causes in this collection."""
    match change.kind.sales:
        case None:
            return []
        case "made":
            return [_sale(change)]
        case "cancelled":
            mark = {"cancelled": True, "cancelPosition": Int64(change.position)}
            return [
                Write(COLLECTION, Int64(item_id), mark, change.position, is_mark=True)
                for item_id in change.kind.line_ids(change.event)
            ]
        case _:
            assert_never(change.kind.sales)


def _sale(change: Change) -> Write:
    number, *fields = document_of(change.event).items()
    return Write(
        COLLECTION,
        number[1],
        {**dict(fields), "position": Int64(change.position)},
        change.position,
        is_new=True,
        is_whole=True,
    )


def as_was(found: Fields, position: int) -> Fields | None:
    """Return a sale as it was at a position, None before it was made."""
    if found.get("position", position + 1) > position:
        return None
    return {**found, "cancelled": found.get("cancelPosition", position + 1) <= position}


def schema() -> Fields:
    """Return the types of a sale. `_id` alone is required: a mark may be written first."""
    types = {"_id": "long", **types_of(ProductSold), "position": "long"}
    del types["itemId"]
    properties = {name: {"bsonType": kind} for name, kind in types.items()}
    return {"bsonType": "object", "required": ["_id"], "properties": properties}


MODELS = (
    DocumentModel(
        collection=COLLECTION,
        shape=1,
        indexes=INDEXES,
        schema=schema(),
        newer={},
        fold=fold,
        as_was=as_was,
    ),
)
