"""The collections `customer_names` and `product_names`: by what words a thing is found.

They stand apart from the things themselves, so that a sale, which changes a product's stock, costs
no entry of their index: only an event that may change the name is written here.
Next: projector/read_models/changes.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from bson.int64 import Int64

from storelog.projector.change import Change
from storelog.projector.read_models.document import Write
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, PRODUCT, Event, id_of
from storelog.words import heads_of

# A word's head, and ids on from the last page's. Each head of a name is an entry: three a word.
# And whose names may have been others at an earlier position.
INDEXES = [[("words", 1), ("_id", 1)], [("position", 1)]]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one kind of thing."""

    COLLECTION: str
    entity: EntityKind
    name_of: Callable[[Event], str]

    def fold(self, change: Change) -> list[Write]:
        """Return what the change writes here; what is deleted has no words."""
        kind = change.kind
        if kind.entity is not self.entity or not kind.renames(change.event):
            return []
        fields = {
            "words": [] if kind.ends else heads_of(self.name_of(change.event)),
            "position": Int64(change.position),
        }
        number, at = Int64(id_of(change.event)), change.position
        return [Write(self.COLLECTION, number, fields, at, is_new=kind.begins, is_whole=True)]


MODELS = (
    Names("customer_names", CUSTOMER, attrgetter("name")),
    Names("product_names", PRODUCT, attrgetter("name")),
)
