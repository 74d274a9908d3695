"""The collections `customer_names` and `product_names`: by what words a thing is found.

They stand apart from the things themselves, so that a sale, which changes a product's stock, costs
no entry of their index: only an event that may change the name is written here.
Next: projector/read_models/changes.py
"""

from dataclasses import dataclass

from bson.int64 import Int64

from storelog.projector.change import Change, CustomerPayload, ProductPayload
from storelog.projector.read_models.document import Write
from storelog.words import heads_of

# A word's head, and ids on from the last page's. Each head of a name is an entry: three a word.
# And whose names may have been others at an earlier position.
INDEXES = [[("words", 1), ("_id", 1)], [("position", 1)]]
_ABOUT_STOCK = ("StockAdjusted", "OrderDeleted")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one kind of thing."""

    COLLECTION: str
    kind: str

    def fold(self, change: Change) -> list[Write]:
        """Return what the change writes here; what is deleted has no words."""
        payload = change.payload
        if isinstance(payload, CustomerPayload):
            number = payload.customerId
        elif isinstance(payload, ProductPayload) and payload.reason not in _ABOUT_STOCK:
            number = payload.productId
        else:
            return []
        if not change.aggregate.startswith(self.kind):
            return []
        fields = {
            "words": [] if change.is_deletion else heads_of(payload.name),
            "position": Int64(change.position),
        }
        is_new = change.event_type.endswith("Created")
        at = change.position
        return [Write(self.COLLECTION, Int64(number), fields, at, is_new=is_new, is_whole=True)]


MODELS = (Names("customer_names", "customer"), Names("product_names", "product"))
