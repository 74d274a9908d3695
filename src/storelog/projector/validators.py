"""JSON schemas that the server holds the four collections to: a value of a wrong type is refused.

They say the types only, of the contract's own fields: measured on the embedded Python server, a
schema that also looks into an order's items makes inserts slower, this one does not. A DBRef has no
type here, since servers differ about it. Further fields are allowed.
Next: projector/database.py
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from pymongo.database import Database
from pymongo.errors import OperationFailure

from storelog.documents.forms import document_name, oldest_fields, types_of
from storelog.projector.read_models import product_sold
from storelog.shop.events import ENTITIES
from storelog.shop.fields import fields_of
from storelog.shop.product import ProductSold

_EXISTS = 48
# CommandNotFound, CommandNotSupported: a server without validators does as well without them.
_UNKNOWN = (59, 115)
STRUCTURES: Mapping[str, type[Struct]] = {
    **{kind.collection: kind.structure for kind in ENTITIES},
    product_sold.COLLECTION: ProductSold,
}


def schema_of(collection: str) -> dict[str, Any]:
    """Return the `$jsonSchema` of one of the four collections."""
    structure = STRUCTURES[collection]
    types = {"_id": "long", **types_of(structure), "position": "long"}
    # Only `product_sold` has documents of a mark alone: see read_models/product_sold.py.
    required = ["_id", *oldest_fields(structure), "position"]
    if structure is ProductSold:
        # A sale's `_id` is its item's.
        del types[document_name(structure, fields_of(structure)[0])]
        required = ["_id"]
    properties = {name: {"bsonType": kind} for name, kind in types.items()}
    return {"bsonType": "object", "required": required, "properties": properties}


def make_validators(database: Database[dict[str, Any]]) -> None:
    """Make the collections that are missing, and bring their schemas up to date.

    A new collection needs the role `readWrite`, another schema of an old one `dbAdmin` as well.
    Raises PyMongoError.
    """
    known = {found["name"]: found["options"] for found in database.list_collections()}
    for collection in STRUCTURES:
        wanted = {"$jsonSchema": schema_of(collection)}
        if known.get(collection, {}).get("validator") == wanted:
            continue
        try:
            _set(database, collection, wanted, is_new=collection not in known)
        except OperationFailure as error:
            if error.code not in _UNKNOWN:
                raise


def _set(database: Database[dict[str, Any]], collection: str, wanted: Any, *, is_new: bool) -> None:
    if is_new:
        try:
            database.command("create", collection, validator=wanted)
            return
        except OperationFailure as error:
            if error.code != _EXISTS:
                raise
    database.command("collMod", collection, validator=wanted)
