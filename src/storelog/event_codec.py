"""Events as bytes: the payload in the log, Kafka's value around it, and back.

The bytes made here are stored in the log, hashed, and published unparsed: an event is encoded only
once. Payloads of any release can be read: upcasters first add what an older one lacks.
Next: command_service/store.py
"""

from typing import Any
from zlib import crc32

import msgspec

from storelog.envelope import Envelope, format_time
from storelog.errors import PoisonRecord
from storelog.shop.event_kinds import EntityKind, EventKind
from storelog.shop.events import ENTITIES, EVENTS, KINDS, Event, kind_of
from storelog.shop.json_values import encode_json, from_json

Json = dict[str, Any]


_DECODERS = {kind.name: msgspec.json.Decoder(kind.payload, dec_hook=from_json) for kind in EVENTS}
_OWNERS = {
    entity.name: (entity.owner[0], msgspec.json.Decoder(entity.owner[1]).decode)
    for entity in ENTITIES
    if entity.owner is not None
}


def kafka_value(event_type: str, payload: bytes) -> bytes:
    """Return `{"eventType": ..., "payload": ...}` around payload bytes that stay as written."""
    # Spliced: encoding the payload again could change bytes that the hash covers.
    return b'{"eventType":"%b","payload":%b}' % (event_type.encode(), payload)


def read_event(event_type: str, schema_version: int, payload: bytes) -> Event:
    """Return the event in payload bytes of any schema version. Raises PoisonRecord."""
    kind = KINDS.get(event_type)
    if kind is None:
        raise PoisonRecord(f"unknown event type {event_type!r}")
    if not 1 <= schema_version <= kind.version:
        raise PoisonRecord(f"unknown schema version {schema_version} of {event_type}")
    try:
        if schema_version == kind.version:
            event: Event = _DECODERS[event_type].decode(payload)
        else:
            event = _read_older(kind, schema_version, payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonRecord(f"{event_type}: {error}") from error
    return event


def _read_older(kind: EventKind, schema_version: int, payload: bytes) -> Event:
    parsed = msgspec.json.decode(payload)
    if not isinstance(parsed, dict):
        raise PoisonRecord("the payload is not a JSON object")
    for step in kind.steps[schema_version - 1 :]:
        parsed = step(parsed)
    event: Event = msgspec.convert(parsed, kind.payload, dec_hook=from_json)
    return event


def event_body(event: Envelope) -> bytes:
    """Return the event as `GET /events` shows it, its payload's bytes as they were written."""
    facts = {
        "position": event.position,
        "eventId": str(event.event_id),
        "eventType": event.event_type,
        "aggregate": event.aggregate,
        "version": event.version,
        "schemaVersion": event.schema_version,
        "occurredAt": format_time(event.occurred_at),
        "recordedAt": format_time(event.recorded_at),
        "correlationId": event.correlation_id,
    }
    return b'%b,"payload":%b}' % (encode_json(facts)[:-1], event.payload)


def lane_of(aggregate: str, lanes: int) -> int:
    """Return the lane (0 to lanes-1) of an aggregate's name, the same in every process."""
    return crc32(aggregate.encode()) % lanes


def lane_of_event(aggregate_type: str, aggregate: str, payload: bytes, lanes: int) -> int:
    """Return an event's lane: products by product, customers and orders by customer."""
    owner = _OWNERS.get(aggregate_type)
    if owner is not None:
        entity, read = owner
        aggregate = _named(entity, read(payload))
    return lane_of(aggregate, lanes)


def owner_of(event: Event) -> str:
    """Return the name of the aggregate in whose lane an event travels."""
    entity = kind_of(event).entity
    return _named(entity if entity.owner is None else entity.owner[0], event)


def name_of(event: Event) -> str:
    """Return the name of the aggregate that an event is of: `product-5`."""
    return _named(kind_of(event).entity, event)


def _named(entity: EntityKind, members: Any) -> str:
    return entity.name_of(getattr(members, entity.id_field))
