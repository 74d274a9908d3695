"""The collections `customer_names` and `product_names`: by what words an entity is found.

They stand apart from the entities, so that a sale, which changes a product's stock, costs no entry
of their index: only an event that may change the words is written here. Of a unique value all is an
entry as well, so that it is found at once.
Next: projector/read_models/changes.py
"""

from dataclasses import dataclass

from bson.int64 import Int64

from storelog.projector.change import Change
from storelog.projector.read_models.document import Write
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, PRODUCT, Event, id_of
from storelog.shop.fields import searched_fields_of, unique_fields_of
from storelog.words import exactly, heads_of, searched_text

# A word's head, and ids on from the last page's. Each head of a name is an entry: three a word.
# And whose names may have been others at an earlier position.
INDEXES = [[("words", 1), ("_id", 1)], [("position", 1)]]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one kind of thing."""

    COLLECTION: str
    entity: EntityKind

    def fold(self, change: Change) -> list[Write]:
        """Return what the change writes here; what is deleted has no words."""
        kind = change.kind
        if kind.entity is not self.entity or not kind.renames(change.event):
            return []
        fields = {
            "words": [] if kind.ends else self._words(change.event),
            "position": Int64(change.position),
        }
        number, at = Int64(id_of(change.event)), change.position
        return [Write(self.COLLECTION, number, fields, at, is_new=kind.begins, is_whole=True)]

    def _words(self, event: Event) -> list[str]:
        structure = self.entity.structure
        values = (getattr(event, field.name) for field in searched_fields_of(structure))
        found = heads_of(searched_text(values))
        for field in unique_fields_of(structure):
            value = getattr(event, field.name)
            if value is not None:
                found.append(exactly(field.json, value))
        return found


MODELS = (Names("customer_names", CUSTOMER), Names("product_names", PRODUCT))
