"""The words that an entity is found by: a collection of the words of its names.

They are kept apart from the entities so that a sale, which changes a product's stock, writes no
index entries of words: only an event that may change the words is written here. A unique value is
an entry as a whole as well, so that a search for it finds it at once.
Next: words.py
"""

from bson.int64 import Int64

from storelog.read_models.change import Change
from storelog.read_models.read_model import DocumentModel, Write
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import Event, id_of
from storelog.shop.fields import searched_fields_of, unique_fields_of
from storelog.words import RULES, exactly, heads_of, searched_text

# The first index finds the head of a word in the order of ids, so a page continues after the last
# id; a name has about three entries a word. The second finds names that changed after a position.
INDEXES = ([("words", 1), ("_id", 1)], [("position", 1)])


def names_model(entity: EntityKind) -> DocumentModel:
    """Return the read model of the words of an entity's names; its shape is the rules' version."""
    collection = entity.words_collection

    def fold(change: Change) -> list[Write]:
        kind = change.kind
        if kind.entity is not entity or not kind.renames(change.event):
            return []
        fields = {
            # A deleted entity keeps its document, without words: its position still tells a search
            # of the past to look at it.
            "words": [] if kind.ends else _words(change.event, entity),
            "position": Int64(change.position),
        }
        number, at = Int64(id_of(change.event)), change.position
        return [Write(collection, number, fields, at, is_new=kind.begins, is_whole=True)]

    return DocumentModel(
        collection=collection,
        shape=RULES,
        indexes=INDEXES,
        schema=None,
        newer={},
        fold=fold,
        # The past is not kept here: entities whose names changed since then are checked one by one
        # (query_service/paging/by_id.py).
        as_was=None,
    )


def _words(event: Event, entity: EntityKind) -> list[str]:
    structure = entity.structure
    values = (getattr(event, field.name) for field in searched_fields_of(structure))
    found = heads_of(searched_text(values))
    for field in unique_fields_of(structure):
        value = getattr(event, field.name)
        if value is not None:
            found.append(exactly(field.json, value))
    return found
