"""By what words an entity is found: a collection of the words of its names.

They stand apart from the entities, so that a sale, which changes a product's stock, costs no entry
of their index: only an event that may change the words is written here. Of a unique value all is an
entry as well, so that it is found at once.
Next: words.py
"""

from bson.int64 import Int64

from storelog.read_models.change import Change
from storelog.read_models.read_model import DocumentModel, Write
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import Event, id_of
from storelog.shop.fields import searched_fields_of, unique_fields_of
from storelog.words import RULES, exactly, heads_of, searched_text

# A word's head, and ids on from the last page's. Each head of a name is an entry: three a word.
# And whose names may have been others at an earlier position.
INDEXES = ([("words", 1), ("_id", 1)], [("position", 1)])


def names_collection(entity: EntityKind) -> str:
    """Return the collection of the words of an entity's names."""
    return f"{entity.name}_names"


def names_model(entity: EntityKind) -> DocumentModel:
    """Return the read model of the words of an entity's names; its shape is that of the rules."""
    collection = names_collection(entity)

    def fold(change: Change) -> list[Write]:
        kind = change.kind
        if kind.entity is not entity or not kind.renames(change.event):
            return []
        fields = {
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
        # Whose names were others then is looked at one by one: see query_service/paging/by_id.py.
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
