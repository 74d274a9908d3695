"""Folds the log into documents of read models that verify has no fold of its own for.

It uses the read model's own fold, so it finds writes that were lost or altered, but not a wrong
fold. Next: verify/expected.py
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
    """Return the models, but verify's own, that a database was filled with in the present shape."""
    others = (each for each in DOCUMENT_MODELS if each.collection not in COLLECTIONS)
    return tuple(each for each in others if shapes.get(each.collection) == each.shape)


def other_shapes(shapes: Shapes) -> list[str]:
    """Return the models that were filled with another shape, so that they cannot be compared."""
    others = (each for each in DOCUMENT_MODELS if each.collection not in COLLECTIONS)
    return [
        each.collection for each in others if shapes.get(each.collection, 0) not in (0, each.shape)
    ]


def listed_writes(change: Change, models: Models) -> Iterable[ExpectedWrite]:
    """Return an event's writes to the models; none if the event would be a dead letter."""
    try:
        found = [write for model in models for write in model.fold(change)]
    except PoisonRecord:
        return []
    return [
        ExpectedWrite(each.collection, each.document_id, each.fields, each.is_new, each.is_mark)
        for each in found
    ]
