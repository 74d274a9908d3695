"""The envelope of an event: what the log, Kafka and the read side all carry around a payload.

Guarantees that an event's hash covers every field, the payload by its own SHA-256, so that an
altered, missing or added event breaks the chain. Does no I/O.
Next: shop/order.py
"""

import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from storelog.typed_cache import cached

D = TypeVar("D", bound=datetime)

WATERMARK_TOPIC = "storelog.watermarks"
KEYS_TOPIC = "storelog.keys"
GENESIS_HASH = bytes(32)
# The kinds of proofs.
RECORD, MARK, LANES, HISTORY, BEHIND = "record", "watermark", "lanes", "history", "behind"


@dataclass(slots=True)
class Envelope:
    """One event of the log. `position` counts from 1 without gaps; times are UTC.

    `hash` is set when the event is chained to the one before; nothing else changes afterwards.
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


@dataclass(slots=True)
class ChainedEvent(Envelope):
    """An event of a log that was read in order, with the hash of the event before it."""

    previous_hash: bytes = GENESIS_HASH


EVENT_COLUMNS = """position, hash, event_id, aggregate_type, aggregate_id, version, event_type,
    schema_version, payload, occurred_at, recorded_at, correlation_id, causation_id, caller,
    traceparent"""


_PAYLOAD = [name.strip() for name in EVENT_COLUMNS.split(",")].index("payload")


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


def chained_event_from_row(row: Sequence[Any]) -> ChainedEvent:
    """Return the event from a row of `EVENT_COLUMNS` and the hash before it, None for the first."""
    event = ChainedEvent(*row)
    event.payload = row[_PAYLOAD].encode()
    event.previous_hash = row[-1] or GENESIS_HASH
    return event


def utc_now() -> datetime:
    """Return the present, cut off to milliseconds, as the contract shows times."""
    return cut_off(datetime.now(UTC))


def cut_off(at: datetime) -> datetime:
    """Return a time cut off to milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


@cached(1_024)
def format_time(at: datetime) -> str:
    """Return RFC 3339 in UTC with `Z` and exactly three decimals."""
    # Cached, since the events of one batch share their times.
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def format_exact_time(at: datetime) -> str:
    """Return the time like `format_time`; with six decimals where three would be another time."""
    if at.microsecond % 1_000 == 0:
        return format_time(at)
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime:
    """Return a time that Storelog wrote, in a log of any release. Raises ValueError."""
    return in_utc(datetime.fromisoformat(text), text)


def in_utc(at: D, text: str) -> D:
    """Return the time that was read from a text, in UTC. Raises ValueError."""
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is not in the years 1 to 9999") from error


def parse_milliseconds(text: str, *, round_up: bool = False) -> int:
    """Return a client's time (RFC 3339, section 5.6) as whole milliseconds since 1970.

    A finer one is cut off, or with `round_up` becomes the next. Raises ValueError, also for a leap
    second.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not an RFC 3339 time")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction, sign, hours, minutes = found.groups(default="")[6:]
    whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    at = milliseconds(whole) + int(fraction[:3].ljust(3, "0"))
    if round_up and fraction[3:].strip("0"):
        at += 1
    offset = (int(hours) * 60 + int(minutes)) * 60_000 if sign else 0
    return at + offset if sign == "-" else at - offset


def parse_day_or_time(text: str, *, round_up: bool = False) -> int:
    """Return a client's time as `parse_milliseconds` does; a day means its beginning in UTC."""
    is_day = _DAY.fullmatch(text) is not None
    return parse_milliseconds(f"{text}T00:00:00Z" if is_day else text, round_up=round_up)


_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


def chain_hash(previous: bytes, event: Envelope, payload_hash: bytes) -> bytes:
    """Return the event's hash: SHA-256 over the previous hash and every field of the event.

    Texts are length-prefixed, so that no two events have the same bytes; an absent text is told
    from an empty one. The payload takes part by its own SHA-256 only.
    """
    recorded_at = pack_time(event.recorded_at)
    return link(previous, hashed_parts(event, payload_hash), recorded_at)


def hashed_parts(event: Envelope, payload_hash: bytes) -> tuple[bytes, bytes]:
    """Return what is hashed before and after `recorded_at`, which is not known until the end."""
    numbers = _NUMBERS.pack(
        event.position,
        event.aggregate_id,
        event.version,
        event.schema_version,
        _microseconds(event.occurred_at),
    )
    kind = _framed(event.aggregate_type, event.event_type)
    origin = _framed(event.correlation_id, event.causation_id, event.caller, event.traceparent)
    return numbers, b"".join((event.event_id.bytes, kind, origin, payload_hash))


def link(previous: bytes, parts: tuple[bytes, bytes], recorded_at: bytes) -> bytes:
    """Return the hash of an event from its parts and its packed time; see `chain_hash`."""
    return hashlib.sha256(b"".join((previous, parts[0], recorded_at, parts[1]))).digest()


def pack_time(at: datetime) -> bytes:
    """Return a time as it is hashed."""
    return _RECORDED_AT.pack(_microseconds(at))


def proof_of(kind: str, previous: str, event_hash: str, *facts: int | str | None) -> str:
    """Return, in hex, the proof that a place in the log was named by a reader of the log.

    `previous` and `event_hash` are the hashes, in hex, of the event before the place and of the one
    at it; `facts` are the numbers and times that are told about the place.
    """
    text = "\n".join((kind, previous, event_hash, *map(str, facts)))
    return hashlib.sha256(text.encode()).hexdigest()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(at: datetime) -> int:
    """Return a moment as whole milliseconds since 1970."""
    return (at - _EPOCH) // _MILLISECOND


_LOWEST = milliseconds(datetime.min.replace(tzinfo=UTC))
_HIGHEST = milliseconds(datetime.max.replace(tzinfo=UTC))


def to_moment(number: int) -> datetime:
    """Return the moment of milliseconds since 1970; beyond the years 1 to 9999 their end."""
    return _EPOCH + min(max(number, _LOWEST), _HIGHEST) * _MILLISECOND


_NUMBERS, _RECORDED_AT = struct.Struct(">QQIIq"), struct.Struct(">q")


@cached(1_024)
def _framed(*texts: str | None) -> bytes:
    """Return the texts, each with its length; the events of one command share most of them."""
    raw = [b"" if text is None else b"+" + text.encode() for text in texts]
    return b"".join(struct.pack(">I", len(text)) + text for text in raw)


@cached(1_024)
def _microseconds(at: datetime) -> int:
    delta = at - _EPOCH
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds
