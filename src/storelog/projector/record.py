"""A Kafka record on its way into a lane: its place in Kafka, its place in the log, its bytes.

Only the headers are read here; the payload is read when it is the record's turn.
Next: projector/merge.py
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from confluent_kafka import Message

from storelog.envelope import parse_time
from storelog.errors import PoisonRecord
from storelog.kafka import MAX_RECORD_BYTES
from storelog.projector.change import Change, Origin, read_change


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `lane_previous` is the position of the event before it in its lane.

    `aggregate` is what the headers name, which a good record's key is too.
    """

    topic: str
    lane: int
    offset: int
    position: int
    lane_previous: int
    hash: str
    version: int
    schema_version: int
    key: str
    aggregate: str
    value: bytes | None
    headers: list[tuple[str, Any]]
    recorded_at: datetime
    caller: str | None
    correlation_id: str


class Watermark(msgspec.Struct):
    """Where everything up to `position` ends; `lanes`: the last position of it in each lane.

    `readAt`: when, by PostgreSQL's clock, the log ended there; None where that is not known.
    """

    position: int
    hash: str
    recordedAt: str | None
    lanes: list[int]
    readAt: str | None = None


class _Value(msgspec.Struct):
    eventType: str
    payload: msgspec.Raw


_read_value = msgspec.json.Decoder(_Value).decode
read_watermark = msgspec.json.Decoder(Watermark).decode


def read_record(message: Message) -> Record:
    """Return the record with its place in the log. Raises PoisonRecord for a foreign one."""
    pairs: Any = message.headers() or []
    key = message.key()
    return make_record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        key.decode("utf-8", "replace") if isinstance(key, bytes) else "",
        message.value(),
        pairs,
    )


def make_record(
    topic: str, lane: int, offset: int, key: str, value: bytes | None, pairs: list[tuple[str, Any]]
) -> Record:
    """Return the record that these headers make of a value. Raises PoisonRecord."""
    headers = dict(pairs)
    try:
        position, previous = int(headers["position"]), int(headers["lane_previous"])
        version, schema_version = int(headers["aggregate_version"]), int(headers["schema_version"])
        event_hash = headers["hash"].decode("ascii")
        recorded_at = parse_time(headers["recorded_at"].decode("ascii"))
        correlation_id = headers["correlation_id"].decode()
        caller = headers["caller"].decode() if "caller" in headers else None
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise PoisonRecord(f"not a record of the relay: {error!r}") from error
    if not 0 <= previous < position:
        raise PoisonRecord(f"position {position} cannot follow {previous}")
    subject = headers.get("ce_subject")
    aggregate = subject.decode("utf-8", "replace") if isinstance(subject, bytes) else key
    return Record(
        topic,
        lane,
        offset,
        position,
        previous,
        event_hash,
        version,
        schema_version,
        key,
        aggregate,
        value,
        pairs,
        recorded_at,
        caller,
        correlation_id,
    )


def header_of(record: Record, wanted: str) -> str | None:
    """Return one header's text, None where there is none."""
    for name, value in record.headers:
        if name == wanted and isinstance(value, bytes):
            return value.decode("utf-8", "replace")
    return None


def change_of(record: Record, event_type: str) -> Change:
    """Return the change that the record carries on its type's topic. Raises PoisonRecord."""
    if record.value is None:
        raise PoisonRecord("the record has no value")
    if len(record.value) > MAX_RECORD_BYTES:
        raise PoisonRecord(
            f"the value has {len(record.value)} bytes, more than the {MAX_RECORD_BYTES} allowed"
        )
    if record.key != record.aggregate:
        raise PoisonRecord(f"the key is {record.key[:100]!r}, the event is {record.aggregate!r}'s")
    try:
        value = _read_value(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonRecord(f"the value is not an event: {error}") from error
    if value.eventType != event_type:
        raise PoisonRecord(f"{value.eventType!r} came on the topic of {event_type}")
    return read_change(
        record.position,
        event_type,
        record.aggregate,
        record.version,
        record.schema_version,
        bytes(value.payload),
        Origin(record.recorded_at, record.caller, record.correlation_id),
    )
