"""The JSON schemas by which MongoDB rejects values of a wrong type.

Each read model declares its own. They contain the types of the contract's own fields only and allow
further fields. On the embedded Python server a schema that also describes an order's items made
inserts slower; these do not.
Next: projector/databases/connection.py
"""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from storelog.read_models.listed import MODELS

_EXISTS = 48
# CommandNotFound, CommandNotSupported, NotImplemented (FerretDB), and DocumentDB's own. Validators
# are a safeguard only, so a server without them can be used.
_UNKNOWN = (59, 115, 238, 303)
SCHEMAS: Mapping[str, Any] = {
    model.collection: model.schema for model in MODELS if model.schema is not None
}


def make_validators(database: Database[dict[str, Any]]) -> bool:
    """Make the collections that are missing, and bring their schemas up to date.

    Returns whether the server has validators at all. A new collection needs the role `readWrite`,
    another schema of an old one `dbAdmin` as well.
    Raises PyMongoError.
    """
    known = {found["name"]: found["options"] for found in database.list_collections()}
    for collection, schema in SCHEMAS.items():
        wanted = {"$jsonSchema": schema}
        if known.get(collection, {}).get("validator") == wanted:
            continue
        try:
            _set(database, collection, wanted, is_new=collection not in known)
        except OperationFailure as error:
            if error.code not in _UNKNOWN:
                raise
            return False
    return True


def _set(database: Database[dict[str, Any]], collection: str, wanted: Any, *, is_new: bool) -> None:
    if is_new:
        try:
            database.command("create", collection, validator=wanted)
            return
        except OperationFailure as error:
            # Another process has created it since the collections were listed.
            if error.code != _EXISTS:
                raise
    database.command("collMod", collection, validator=wanted)
