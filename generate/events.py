"""JSON Schemas of the nine events in every version, and the AsyncAPI document around them.

The schemas are strict: a member that is not named here means a new version of the event.
"""

from collections.abc import Mapping
from typing import Any

from storelog import __version__
from storelog.envelope import WATERMARK_TOPIC
from storelog.shop.events import AGGREGATE_NAME, EVENT_TYPES, EVENTS, KINDS
from storelog.shop.json_schema import payload_schema
from storelog.shop.value_schemas import TIME

Json = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_UUID: Json = {
    "type": "string",
    "format": "uuid",
    "examples": ["3f2c8a54-8a3c-4d55-9d0e-6f1b8a1f7c21"],
}
_SHA256: Json = {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": ["0" * 64]}
_TIME: Json = {**TIME, "examples": ["2026-01-31T12:00:00.005Z"]}


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


PAYLOADS: Mapping[tuple[str, int], Json] = {
    (kind.name, version): payload_schema(kind, version)
    for kind in EVENTS
    for version in range(1, kind.version + 1)
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
        "ce_id": _UUID,
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
        "history": _UUID,
        "history_proof": _SHA256,
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": required | optional,
    }


def _key() -> Json:
    return {"type": "string", "pattern": f"^{AGGREGATE_NAME}$"}


def watermark() -> Json:
    """Return the JSON Schema of a watermark."""
    position: Json = {"type": "integer", "minimum": 0, "examples": [4]}
    schema = _object(
        position=position,
        hash={"type": "string", "pattern": "^([0-9a-f]{64})?$", "examples": ["0" * 64]},
        recordedAt={**_TIME, "type": ["string", "null"]},
        lanes=_list(position, minItems=1),
        readAt={**_TIME, "type": ["string", "null"]},
        previousHash=_SHA256,
        proof=_SHA256,
    )
    # Of a shop that is older than they are they come with the next change of lanes.
    schema["properties"] |= {"lanesSince": position, "lanesProof": _SHA256}
    # Of a log that has a history's id, as every log has after `storelog migrate`.
    schema["properties"] |= {"history": _UUID, "beganAfter": position, "historyProof": _SHA256}
    return schema


def log_is_behind() -> Json:
    """Return the JSON Schema of what stands in a watermark's place where the log lacks events."""
    position: Json = {"type": "integer", "minimum": 0, "examples": [4]}
    return _object(
        position=position,
        hash={"type": "string", "pattern": "^([0-9a-f]{64})?$", "examples": ["0" * 64]},
        ahead=position,
        history=_UUID,
        previousHash=_SHA256,
        proof=_SHA256,
    )


def asyncapi() -> Json:
    """Return the AsyncAPI 3 document: ten channels, what is sent on each, by whom."""
    messages = {kind: _message(kind) for kind in EVENT_TYPES}
    of_watermarks = {
        "Watermark": (
            "How far each lane must have come to hold everything up to `position`.",
            watermark(),
        ),
        "LogIsBehind": (
            "The log ends at `position`, while Kafka has its events up to `ahead`.",
            log_is_behind(),
        ),
    }
    for name, (summary, payload) in of_watermarks.items():
        messages[name] = {
            "name": name,
            "summary": summary,
            "contentType": "application/json",
            "payload": payload,
            "bindings": {"kafka": {"key": {"const": "watermark"}, "bindingVersion": "0.5.0"}},
        }
    channels = {kind: _channel(kind, kind) for kind in EVENT_TYPES}
    channels["watermarks"] = _channel(WATERMARK_TOPIC, *of_watermarks)
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


def _channel(address: str, *messages: str) -> Json:
    kafka = {"topic": address, "bindingVersion": "0.5.0"}
    references = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return {"address": address, "messages": references, "bindings": {"kafka": kafka}}


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
