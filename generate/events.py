"""JSON Schemas of the nine events in every version, and the AsyncAPI document around them.

The schemas are strict: a member that is not named here means a new version of the event.
"""

from collections.abc import Mapping
from typing import Any

from storelog import __version__
from storelog.envelope import WATERMARK_TOPIC
from storelog.shop.events import EVENT_TYPES, KINDS

Json = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SHA256: Json = {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": ["0" * 64]}
_TIME: Json = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
    "examples": ["2026-01-31T12:00:00.005Z"],
}
_ID: Json = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1, "examples": [5]}
_COUNT: Json = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "examples": [8]}
_UNITS: Json = {"type": "integer", "minimum": 1, "maximum": 1_000_000, "examples": [2]}
_MONEY: Json = {"type": "string", "pattern": r"^\d+\.\d{2,8}$", "examples": ["12.75"]}
_TOTAL: Json = {"type": "string", "pattern": r"^\d+\.\d{2}$", "examples": ["25.50"]}
_FLAG: Json = {"type": "boolean", "examples": [True]}
_EMAIL: Json = {
    "type": "string",
    "minLength": 3,
    "maxLength": 254,
    "examples": ["ann@example.com"],
}
_PHONE: Json = {"type": ["string", "null"], "maxLength": 15, "examples": [None]}


def _name(example: str) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": 200, "examples": [example]}


def _object(**properties: Json) -> Json:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
        "examples": [{name: part["examples"][0] for name, part in properties.items()}],
    }


def _list(items: Json, **limits: int) -> Json:
    return {"type": "array", "items": items, **limits, "examples": [[items["examples"][0]]]}


_CUSTOMER: Json = {
    "customerId": _ID,
    "name": _name("Ann Miller"),
    "email": _EMAIL,
    "phoneNumber": _PHONE,
}
_PRODUCT: Json = {
    "productId": _ID,
    "name": _name("Cake stand"),
    "price": _MONEY,
    "stock": _COUNT,
    "stockStatus": _FLAG,
}
_LINE = _object(
    itemId=_ID, productId=_ID, productName=_name("Cake stand"), quantity=_UNITS, price=_MONEY
)
_ORDER: Json = {
    "orderId": _ID,
    "orderDate": _TIME,
    "customerId": _ID,
    "orderItems": _list(_LINE, minItems=1, maxItems=2_000),
    "totalPrice": _TOTAL,
}
_RETURNED = _object(itemId=_ID, quantity=_UNITS, productTotalPrice=_MONEY, soldAt=_TIME)


def _reason(word: str) -> Json:
    return {"const": word, "examples": [word]}


def _updated_product(*, has_note: bool) -> Json:
    note = {"note": _name("broken")} if has_note else {}
    delta = {"type": "integer", "not": {"const": 0}, "examples": [-2]}
    kinds = [
        _object(**_PRODUCT, reason=_reason("Changed")),
        _object(**_PRODUCT, reason=_reason("StockAdjusted"), delta=delta, **note),
        _object(
            **_PRODUCT,
            reason=_reason("OrderDeleted"),
            orderId=_ID,
            returned=_list(_RETURNED, minItems=1),
        ),
    ]
    return {"oneOf": kinds, "examples": [kind["examples"][0] for kind in kinds]}


PAYLOADS: Mapping[tuple[str, int], Json] = {
    ("CustomerCreated", 1): _object(**_CUSTOMER),
    ("CustomerUpdated", 1): _object(**_CUSTOMER),
    ("CustomerDeleted", 1): _object(**_CUSTOMER, deletedAt=_TIME),
    ("ProductCreated", 1): _object(**_PRODUCT),
    ("ProductUpdated", 1): _updated_product(has_note=False),
    ("ProductUpdated", 2): _updated_product(has_note=True),
    ("ProductSold", 1): _object(
        itemId=_ID,
        productId=_ID,
        productName=_name("Cake stand"),
        productPrice=_MONEY,
        quantitySold=_UNITS,
        remainingStock=_COUNT,
        stockStatus=_FLAG,
        orderId=_ID,
        customerId=_ID,
        productTotalPrice=_MONEY,
        soldAt=_TIME,
    ),
    ("ProductDeleted", 1): _object(**_PRODUCT, deletedAt=_TIME),
    ("OrderCreated", 1): _object(**_ORDER),
    ("OrderDeleted", 1): _object(**_ORDER, deletedAt=_TIME),
}


def schemas() -> dict[str, Json]:
    """Return the schema of each event's Kafka value, by `EventType.vN`."""
    return {f"{kind}.v{version}": value_schema(kind, version) for kind, version in PAYLOADS}


def value_schema(kind: str, version: int) -> Json:
    """Return the JSON Schema of `{"eventType": ..., "payload": {...}}`."""
    payload = PAYLOADS[kind, version]
    examples = [{"eventType": kind, "payload": example} for example in payload["examples"]]
    return {
        "$schema": DIALECT,
        "$id": f"urn:storelog:event:{kind}:{version}",
        "title": f"{kind}, version {version}",
        "type": "object",
        "additionalProperties": False,
        "required": ["eventType", "payload"],
        "properties": {"eventType": {"const": kind}, "payload": payload},
        "examples": examples,
    }


def headers() -> Json:
    """Return the JSON Schema of a record's headers, each as text."""
    number = {"type": "string", "pattern": r"^\d+$"}
    text = {"type": "string", "minLength": 1}
    required: Json = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid"},
        "ce_source": {"const": "/storelog"},
        "ce_type": {"enum": list(EVENT_TYPES)},
        "ce_time": _TIME,
        "ce_subject": _key(),
        "content-type": {"const": "application/json"},
        "aggregate_version": number,
        "position": number,
        "lane_previous": number,
        "hash": _SHA256,
        "schema_version": number,
        "recorded_at": _TIME,
        "correlation_id": text,
    }
    optional: Json = {
        "caller": text,
        "causation_id": text,
        "traceparent": {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
        "log_traceparent": {"type": "string"},
        "previous_hash": _SHA256,
        "proof": _SHA256,
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": required | optional,
    }


def _key() -> Json:
    return {"type": "string", "pattern": r"^(customer|product|order)-[1-9]\d{0,18}$"}


def watermark() -> Json:
    """Return the JSON Schema of a watermark."""
    position: Json = {"type": "integer", "minimum": 0, "examples": [4]}
    return _object(
        position=position,
        hash={"type": "string", "pattern": "^([0-9a-f]{64})?$", "examples": ["0" * 64]},
        recordedAt={**_TIME, "type": ["string", "null"]},
        lanes=_list(position, minItems=1),
        readAt={**_TIME, "type": ["string", "null"]},
        previousHash=_SHA256,
        proof=_SHA256,
    )


def asyncapi() -> Json:
    """Return the AsyncAPI 3 document: ten channels, what is sent on each, by whom."""
    messages = {kind: _message(kind) for kind in EVENT_TYPES}
    messages["Watermark"] = {
        "name": "Watermark",
        "summary": "How far each lane must have come to hold everything up to `position`.",
        "contentType": "application/json",
        "payload": watermark(),
        "bindings": {"kafka": {"key": {"const": "watermark"}, "bindingVersion": "0.5.0"}},
    }
    channels = {kind: _channel(kind, kind) for kind in EVENT_TYPES}
    channels["watermarks"] = _channel(WATERMARK_TOPIC, "Watermark")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Storelog events",
            "version": __version__,
            "license": {"name": "Apache-2.0"},
            "description": "What the relay sends. Addresses stand after the configured prefix. "
            "Partition n of every topic is lane n: order is per lane, by `position`.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"send{name[:1].upper()}{name[1:]}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{name}"},
            }
            for name in channels
        },
        "components": {"messages": messages, "schemas": {"RecordHeaders": headers()}},
    }


def _channel(address: str, message: str) -> Json:
    kafka = {"topic": address, "bindingVersion": "0.5.0"}
    reference = {"$ref": f"#/components/messages/{message}"}
    return {"address": address, "messages": {message: reference}, "bindings": {"kafka": kafka}}


def _message(kind: str) -> Json:
    versions = [version for name, version in PAYLOADS if name == kind]
    current = value_schema(kind, KINDS[kind].version)
    older = [value_schema(kind, version) for version in versions if version < max(versions)]
    return {
        "name": kind,
        "title": kind,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/RecordHeaders"},
        "payload": {"oneOf": [current, *older]} if older else current,
        "examples": [{"payload": example} for example in current["examples"]],
        "bindings": {"kafka": {"key": _key(), "bindingVersion": "0.5.0"}},
    }
