"""JSON schemas that the server holds the four collections to: a value of a wrong type is refused.

They say the types only, of the contract's own fields: measured on the embedded Python server, a
schema that also looks into an order's items makes inserts slower, this one does not. A DBRef has no
type here, since servers differ about it. Further fields are allowed.
Next: projector/database.py
"""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

_EXISTS = 48
# CommandNotFound, CommandNotSupported: a server without validators does as well without them.
_UNKNOWN = (59, 115)
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "customers": {
        "customer_id": "long",
        "name": "string",
        "email": "string",
        "phoneNumber": ["string", "null"],
    },
    "products": {
        "product_id": "long",
        "name": "string",
        "price": "decimal",
        "stock": ["int", "long"],
        "stockStatus": "bool",
    },
    "orders": {
        "order_id": "long",
        "orderDate": "date",
        "customerId": "long",
        "orderItems": "array",
        "totalPrice": "decimal",
    },
    "product_sold": {
        "productId": "long",
        "productName": "string",
        "productPrice": "decimal",
        "quantitySold": ["int", "long"],
        "remainingStock": ["int", "long"],
        "stockStatus": "bool",
        "orderId": "long",
        "customerId": "long",
        "productTotalPrice": "decimal",
        "soldAt": "date",
    },
}


def schema_of(collection: str) -> dict[str, Any]:
    """Return the `$jsonSchema` of one of the four collections."""
    types = {"_id": "long", **_TYPES[collection], "position": "long"}
    # Only `product_sold` has documents of a mark alone: see read_models/product_sold.py.
    required = ["_id"] if collection == "product_sold" else list(types)
    properties = {name: {"bsonType": kind} for name, kind in types.items()}
    return {"bsonType": "object", "required": required, "properties": properties}


def make_validators(database: Database[dict[str, Any]]) -> None:
    """Make the collections that are missing, and bring their schemas up to date.

    A new collection needs the role `readWrite`, another schema of an old one `dbAdmin` as well.
    Raises PyMongoError.
    """
    known = {found["name"]: found["options"] for found in database.list_collections()}
    for collection in _TYPES:
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
