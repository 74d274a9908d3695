"""What the log makes of the documents of read models that verify has no fold of its own for.

What such a read model writes for an event is its own statement: no other says it. So this finds
what was lost or altered as it was written, not a wrong fold. Next: verify/expected.py
"""

from collections.abc import Iterable

from storelog.errors import PoisonRecord
from storelog.read_models.change import Change
from storelog.read_models.listed import DOCUMENT_MODELS
from storelog.read_models.read_model import DocumentModel
from storelog.read_models.shapes import Shapes
from storelog.verify.fold import COLLECTIONS, ExpectedWrite

Models = tuple[DocumentModel, ...]


def filled_models(shapes: Shapes) -> Models:
    """Return those that a database was filled with, as they are now, of all but verify's own."""
    others = (each for each in DOCUMENT_MODELS if each.collection not in COLLECTIONS)
    return tuple(each for each in others if shapes.get(each.collection) == each.shape)


def other_shapes(shapes: Shapes) -> list[str]:
    """Return those that were filled with another shape: what their documents lack, nobody says."""
    others = (each for each in DOCUMENT_MODELS if each.collection not in COLLECTIONS)
    return [
        each.collection for each in others if shapes.get(each.collection, 0) not in (0, each.shape)
    ]


def listed_writes(change: Change, models: Models) -> Iterable[ExpectedWrite]:
    """Return what an event sets there; nothing of one that would be a dead letter."""
    try:
        found = [write for model in models for write in model.fold(change)]
    except PoisonRecord:
        return []
    return [
        ExpectedWrite(each.collection, each.document_id, each.fields, each.is_new, each.is_mark)
        for each in found
    ]
