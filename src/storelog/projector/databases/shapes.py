"""Stores the shapes with which a database was filled, and tells which read models are written.

An empty database gets the shapes of this release and all its read models. A database with documents
keeps its shapes until it is filled anew. A read model without a stored shape is not written, since
it would lack all earlier events.
Next: read_models/shapes.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson.int64 import Int64
from pymongo.database import Database

from storelog.projector.checkpoints import CHECKPOINTS
from storelog.read_models.listed import BY_COLLECTION, DOCUMENT_MODELS, TOTALS_MODELS
from storelog.read_models.read_model import DocumentModel
from storelog.read_models.shapes import SHAPES, Shapes, current_shapes, differing, shapes_of
from storelog.read_models.totals import TotalsModel

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FilledModels:
    """The read models that a database was filled with; `totals`: each with its stored shape."""

    documents: tuple[DocumentModel, ...]
    totals: Mapping[TotalsModel, int]


def filled_models(database: Database[Document]) -> FilledModels:
    """Return the read models that the projector writes. Raises PyMongoError."""
    shapes = stamp(database)
    return FilledModels(
        tuple(each for each in DOCUMENT_MODELS if each.collection in shapes),
        {each: shapes[each.collection] for each in TOTALS_MODELS if each.collection in shapes},
    )


def read_shapes(database: Database[Document]) -> Shapes:
    """Return the shape of each read model that is filled. Raises PyMongoError."""
    return shapes_of(database[SHAPES].find({}))


def stamp(database: Database[Document]) -> Shapes:
    """Return the stored shapes; store them first in an empty database or one without shapes.

    Raises PyMongoError.
    """
    found = list(database[SHAPES].find({}))
    shapes = shapes_of(found)
    is_stored = any("shape" in each for each in found)
    is_new = bool(not is_stored or differing(shapes)) and _is_empty(database)
    if is_new or not is_stored:
        shapes = current_shapes() if is_new else shapes
        for name, shape in shapes.items():
            stored = {"$set": {"shape": Int64(shape)}}
            database[SHAPES].update_one({"_id": name}, stored, upsert=True)
    # This release does not write read models that it does not know, so those are incomplete from
    # now on: without a shape a later release fills them anew.
    for each in found:
        if each["_id"] not in BY_COLLECTION:
            database[SHAPES].delete_one({"_id": each["_id"]})
    return {name: shape for name, shape in shapes.items() if name in BY_COLLECTION}


def _is_empty(database: Database[Document]) -> bool:
    names = (CHECKPOINTS, *BY_COLLECTION)
    return not any(database[name].find_one({}, {"_id": 1}) for name in names)
