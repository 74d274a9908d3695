"""The JSON Schemas of the Command Service's bodies, with examples, for its OpenAPI document.

Next: command_service/api.py
"""

from typing import Any

from storelog.command_service.requests import BETWEEN_DIGITS, UNSEEN
from storelog.shop.events import EVENT_TYPES
from storelog.shop.kinds import MAX_ID, MAX_LINES, MAX_QUANTITY, MAX_STOCK

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_TIME = {"type": "string", "format": "date-time", "examples": ["2026-01-02T03:04:05.678Z"]}
_MONEY_OUT = {"type": "string", "pattern": r"^\d+\.\d{2,}$", "examples": ["4.25"]}
_MONEY_IN = {
    "oneOf": [
        {"type": "number", "minimum": 0, "maximum": 9_999_999_999, "multipleOf": 0.0001},
        {"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,4})?$"},
    ],
    "examples": ["4.25"],
}
_NAME = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\x00]*$"}
_STOCK = {"type": "integer", "minimum": 0, "maximum": MAX_STOCK}
_EMAIL = {"type": "string", "minLength": 3, "maxLength": 254, "pattern": r"^[^@\x00]*@[^@\x00]*$"}
_PHONE = {"type": ["string", "null"], "maxLength": 15, "pattern": r"^[^\x00]*$"}
_EMAIL_IN = {
    **_EMAIL,
    "pattern": rf"^[^@\s{UNSEEN}][^@{UNSEEN}]*@[^@{UNSEEN}]*[^@\s{UNSEEN}]$",
}
_BETWEEN = rf"[{BETWEEN_DIGITS}()\[\]]*"
_PHONE_IN = {
    "type": ["string", "null"],
    "pattern": rf"^({_BETWEEN}(\+({_BETWEEN}[0-9]){{1,14}}|[0-9]({_BETWEEN}[0-9]){{0,14}})"
    rf"{_BETWEEN})?$",
    "description": "Blanks, dots, hyphens, brackets and a (0) after a country code are left out.",
    "examples": ["+44 20 7946 0958"],
}


def _object(required: list[str], /, *, example: Any = None, **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }
    if example is not None:
        schema["examples"] = [example]
    return schema


_ANN = {"name": "Ann Miller", "email": "ann@example.com", "phoneNumber": None}
_STAND = {"name": "Cake stand", "price": "12.75", "stock": 10}
_LINE_OUT = _object(
    ["itemId", "productId", "productName", "quantity", "price"],
    itemId=_ID,
    productId=_ID,
    productName={**_NAME, "examples": ["Cake stand"]},
    quantity={"type": "integer", "minimum": 1, "maximum": MAX_QUANTITY},
    price=_MONEY_OUT,
)
_LINE_IN = _object(
    ["productId", "quantity"],
    productId=_ID,
    quantity={"type": "integer", "minimum": 1, "maximum": MAX_QUANTITY},
    price={**_MONEY_IN, "description": "Import only: the price that was paid."},
)
_EVENT = _object(
    [
        "position", "eventId", "eventType", "aggregate", "version", "schemaVersion", "occurredAt",
        "recordedAt", "correlationId", "payload",
    ],
    position=_ID,
    eventId={"type": "string", "format": "uuid"},
    eventType={"enum": list(EVENT_TYPES)},
    aggregate={
        "type": "string",
        "pattern": r"^(customer|product|order)-\d+$",
        "examples": ["product-5"],
    },
    version=_ID,
    schemaVersion=_ID,
    occurredAt=_TIME,
    recordedAt=_TIME,
    correlationId={"type": "string"},
    payload={"type": "object"},
)  # fmt: skip

SCHEMAS: dict[str, Any] = {
    "NewCustomer": _object(
        ["name", "email"], example=_ANN, name=_NAME, email=_EMAIL_IN, phoneNumber=_PHONE_IN
    ),
    "Customer": _object(
        ["customerId", "name", "email", "phoneNumber"],
        example={"customerId": 1, **_ANN},
        customerId=_ID,
        name=_NAME,
        email=_EMAIL,
        phoneNumber=_PHONE,
    ),
    "NewProduct": _object(
        ["name", "price", "stock"], example=_STAND, name=_NAME, price=_MONEY_IN, stock=_STOCK
    ),
    "ChangedProduct": _object(
        ["name", "price"], example=_STAND, name=_NAME, price=_MONEY_IN, stock=_STOCK
    ),
    "Product": _object(
        ["productId", "name", "price", "stock", "stockStatus"],
        example={"productId": 1, **_STAND, "stockStatus": True},
        productId=_ID,
        name=_NAME,
        price=_MONEY_OUT,
        stock=_STOCK,
        stockStatus={"type": "boolean"},
    ),
    "StockAdjustment": _object(
        ["delta", "reason"],
        example={"delta": -2, "reason": "broken in the store"},
        delta={"type": "integer", "minimum": -MAX_STOCK, "maximum": MAX_STOCK},
        reason=_NAME,
    ),
    "NewOrder": _object(
        ["customerId", "orderItems"],
        example={"customerId": 1, "orderItems": [{"productId": 1, "quantity": 2}]},
        customerId=_ID,
        orderItems={"type": "array", "minItems": 1, "maxItems": MAX_LINES, "items": _LINE_IN},
        orderDate={
            **_TIME,
            "pattern": "^(19|2[0-9])[0-9]{2}-",
            "description": "Import only: when the order was placed, 1900-01-01 to 2999-12-31 UTC.",
        },
    ),
    "Order": _object(
        ["orderId", "orderDate", "customerId", "orderItems", "totalPrice"],
        orderId=_ID,
        orderDate=_TIME,
        customerId=_ID,
        orderItems={"type": "array", "items": _LINE_OUT},
        totalPrice=_MONEY_OUT,
    ),
    "Events": _object(
        ["items", "nextAfter"],
        items={"type": "array", "items": _EVENT},
        nextAfter={"type": ["integer", "null"]},
    ),
}
