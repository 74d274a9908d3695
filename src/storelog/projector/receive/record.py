"""A Kafka record on its way into a lane: its place in Kafka, its place in the log, its bytes.

Only the headers are read here; the payload is read when it is the record's turn. Its proof is
checked in `projector/receive/proof.py`.
Next: projector/receive/proof.py
"""

import hashlib
import re
import struct
from dataclasses import field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from confluent_kafka import Message

from storelog.envelope import Envelope, chain_hash, parse_time
from storelog.errors import PoisonRecord
from storelog.kafka import MAX_RECORD_BYTES
from storelog.read_models.change import Change, EventOrigin, read_change
from storelog.shop.value import value
from storelog.watermark import Watermark


@value
class Record:
    """One record; `lane_previous` is the position of the event before it in its lane.

    `aggregate` is the one that the headers name; the key of a good record is the same. `named`: the
    headers by their names.
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
    named: dict[str, Any] = field(default_factory=dict)


class Behind(msgspec.Struct):
    """A relay's report that the log ends at `position` while Kafka has its events up to `ahead`."""

    position: int
    hash: str
    ahead: int
    history: str
    previousHash: str
    proof: str


class _Value(msgspec.Struct):
    eventType: str
    payload: msgspec.Raw


# The digits of the largest number that MongoDB and PostgreSQL hold.
MAX_DIGITS = 19
_NUMBER = re.compile(r"[0-9]{1,19}")
_HASH = re.compile(r"[0-9a-f]{64}")
_read_value = msgspec.json.Decoder(_Value).decode
read_watermark = msgspec.json.Decoder(Watermark).decode
read_behind = msgspec.json.Decoder(Behind).decode


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
    position, previous = _number(headers, "position"), _number(headers, "lane_previous")
    version = _number(headers, "aggregate_version")
    schema_version = _number(headers, "schema_version")
    event_hash = _text(headers, "hash")
    correlation_id = _text(headers, "correlation_id")
    caller = _text(headers, "caller") if "caller" in headers else None
    try:
        recorded_at = parse_time(_text(headers, "recorded_at"))
    except (ValueError, OverflowError) as error:
        raise PoisonRecord("not a record of the relay: `recorded_at` is not a time") from error
    if previous >= position:
        raise PoisonRecord(
            f"not a record of the relay: position {position} cannot follow {previous}"
        )
    if not _HASH.fullmatch(event_hash):
        raise PoisonRecord("not a record of the relay: the header `hash` is not a SHA-256 in hex")
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
        headers,
    )


def _text(headers: dict[str, Any], name: str) -> str:
    """Return one header's text. Raises PoisonRecord."""
    found = headers.get(name)
    if not isinstance(found, bytes):
        raise PoisonRecord(f"not a record of the relay: it has no header `{name}`")
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise PoisonRecord(f"not a record of the relay: `{name}` is not text") from error


def _number(headers: dict[str, Any], name: str) -> int:
    """Return one header's number, which fits MongoDB's and PostgreSQL's. Raises PoisonRecord."""
    found = headers.get(name)
    # Every record has four, so the usual case comes first. On bytes, `isdigit` accepts 0 to 9 only.
    if isinstance(found, bytes) and found.isdigit() and len(found) < MAX_DIGITS:
        return int(found)
    text = _text(headers, name)
    if not _NUMBER.fullmatch(text) or int(text) >= 2**63:
        raise PoisonRecord(
            f"not a record of the relay: the header `{name}` is not a number: {text[:40]!r}"
        )
    return int(text)


def header_of(record: Record, wanted: str) -> str | None:
    """Return one header's text, None where there is none."""
    found = record.named.get(wanted)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else None


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
        said = _read_value(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonRecord(f"the value is not an event: {error}") from error
    if said.eventType != event_type:
        raise PoisonRecord(f"{said.eventType!r} came on the topic of {event_type}")
    payload = bytes(said.payload)
    change = read_change(
        record.position,
        event_type,
        record.aggregate,
        record.version,
        record.schema_version,
        payload,
        EventOrigin(record.recorded_at, record.caller, record.correlation_id),
    )
    if not is_as_in_the_log(record, event_type, payload):
        raise PoisonRecord(
            f"the record is not what the log has at position {record.position}: its headers and"
            " payload do not make its hash"
        )
    return change


def is_as_in_the_log(record: Record, event_type: str, payload: bytes) -> bool:
    """Tell whether the headers and payload, with the previous event's hash, give the record's hash.

    True also for a record of an earlier relay, which does not name the previous hash.
    """
    headers = record.named
    previous = headers.get("previous_hash")
    if previous is None:
        return True
    kind, _, number = record.aggregate.rpartition("-")
    try:
        traceparent = headers.get("log_traceparent", headers.get("traceparent", b"")).decode()
        causation_id = headers.get("causation_id")
        event = Envelope(
            record.position,
            b"",
            UUID(headers["ce_id"].decode()),
            kind,
            int(number),
            record.version,
            event_type,
            record.schema_version,
            payload,
            parse_time(headers["ce_time"].decode()),
            record.recorded_at,
            record.correlation_id,
            None if causation_id is None else causation_id.decode(),
            record.caller,
            traceparent or None,
        )
        before = bytes.fromhex(previous.decode())
        made = chain_hash(before, event, hashlib.sha256(payload).digest())
    except (KeyError, ValueError, AttributeError, OverflowError, struct.error):
        return False
    return made.hex() == record.hash
