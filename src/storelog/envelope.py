"""The envelope of an event: what the log, Kafka and the read side all carry around a payload.

Guarantees that an event's hash covers every field, the payload by its own SHA-256, so that an
altered, missing or added event breaks the chain. Does no I/O.
Next: domain/order.py
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

EVENT_TYPES = (
    "ProductCreated",
    "ProductUpdated",
    "ProductSold",
    "ProductDeleted",
    "CustomerCreated",
    "CustomerUpdated",
    "CustomerDeleted",
    "OrderCreated",
    "OrderDeleted",
)
WATERMARK_TOPIC = "storelog.watermarks"
KEYS_TOPIC = "storelog.keys"
GENESIS_HASH = bytes(32)


@dataclass(slots=True)
class Envelope:
    """One event of the log. `position` counts from 1 without gaps; times are UTC.

    `hash` is filled in by the one who chains the event on; nothing else changes afterwards.
    """

    position: int
    hash: bytes
    event_id: UUID
    aggregate_type: str
    aggregate_id: int
    version: int
    event_type: str
    schema_version: int
    payload: bytes
    occurred_at: datetime
    recorded_at: datetime
    correlation_id: str
    causation_id: str | None = None
    caller: str | None = None
    traceparent: str | None = None

    @property
    def aggregate(self) -> str:
        """The aggregate's name, which is also its Kafka key: `product-5`."""
        return f"{self.aggregate_type}-{self.aggregate_id}"


EVENT_COLUMNS = """position, hash, event_id, aggregate_type, aggregate_id, version, event_type,
    schema_version, payload, occurred_at, recorded_at, correlation_id, causation_id, caller,
    traceparent"""


def envelope_from_row(row: Sequence[Any]) -> Envelope:
    """Return the envelope from a row of `EVENT_COLUMNS`; the payload comes as text."""
    position, event_hash, event_id, kind, number, version, event_type, schema, payload, *rest = row
    return Envelope(
        position,
        event_hash,
        event_id,
        kind,
        number,
        version,
        event_type,
        schema,
        payload.encode(),
        *rest,
    )


def utc_now() -> datetime:
    """Return the present, cut off to milliseconds, as the contract shows times."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@lru_cache(maxsize=1_024)
def format_time(at: datetime) -> str:
    """Return RFC 3339 in UTC with `Z` and exactly three decimals."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_time(text: str) -> datetime:
    """Return the moment that an RFC 3339 text in UTC names. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return at.astimezone(UTC)


def chain_hash(previous: bytes, event: Envelope, payload_hash: bytes) -> bytes:
    """Return the event's hash: SHA-256 over the previous hash and every field of the event.

    Texts are length-prefixed, so that no two events have the same bytes; an absent text is told
    from an empty one. The payload takes part by its own SHA-256 only.
    """
    numbers = _NUMBERS.pack(
        event.position,
        event.aggregate_id,
        event.version,
        event.schema_version,
        _microseconds(event.occurred_at),
        _microseconds(event.recorded_at),
    )
    kind = _framed(event.aggregate_type, event.event_type)
    origin = _framed(event.correlation_id, event.causation_id, event.caller, event.traceparent)
    return hashlib.sha256(
        b"".join((previous, numbers, event.event_id.bytes, kind, origin, payload_hash))
    ).digest()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(at: datetime) -> int:
    """Return a moment as whole milliseconds since 1970."""
    return (at - _EPOCH) // _MILLISECOND


_NUMBERS = struct.Struct(">QQIIqq")


@lru_cache(maxsize=1_024)
def _framed(*texts: str | None) -> bytes:
    """Return the texts, each with its length; the events of one command share most of them."""
    raw = [b"" if text is None else b"+" + text.encode() for text in texts]
    return b"".join(struct.pack(">I", len(text)) + text for text in raw)


@lru_cache(maxsize=1_024)
def _microseconds(at: datetime) -> int:
    delta = at - _EPOCH
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds
