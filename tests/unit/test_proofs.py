"""Which records count as the log's: by what they prove, or as earlier relays sent them."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
import pytest

from storelog.envelope import ChainedEvent, Envelope, chain_hash
from storelog.errors import PoisonRecord
from storelog.event_codec import kafka_value
from storelog.origin import Origin
from storelog.projector.receive.proof import check_mark, check_record
from storelog.projector.receive.record import Record, is_as_in_the_log, make_record
from storelog.relay.record_headers import record_headers
from storelog.watermark import Watermark

PAYLOAD = b'{"customerId":5}'
BEFORE = bytes([7]) * 32
AT = datetime(2026, 1, 2, 3, 4, 5, 6_000, UTC)
EVENT = ChainedEvent(
    9, b"", UUID(int=1), "customer", 5, 3, "CustomerUpdated", 1, PAYLOAD, AT, AT, "c", "cause",
    "till", "00-" + "1" * 32 + "-" + "2" * 16 + "-01", BEFORE,
)  # fmt: skip


def chained(event: ChainedEvent) -> ChainedEvent:
    own = chain_hash(event.previous_hash, event, sha256(event.payload).digest())
    return replace(event, hash=own)


def record_of(event: Envelope, **changes: bytes | None) -> Record:
    """Return what a reader makes of the event's record; None: a header is left out."""
    pairs = dict(record_headers(event, event.aggregate, 4)) | changes
    headers = [(name, value) for name, value in pairs.items() if value is not None]
    value = kafka_value(event.event_type, event.payload)
    return make_record(event.event_type, 0, 1, event.aggregate, value, headers)


@pytest.mark.parametrize(
    "event",
    [
        EVENT,
        replace(EVENT, causation_id=None, caller=None, traceparent=None),
        replace(EVENT, occurred_at=AT.replace(microsecond=6_001), recorded_at=AT),
    ],
)
def test_what_the_relay_sends_proves_its_place_and_its_content(event: ChainedEvent) -> None:
    event = chained(event)
    record = record_of(event)
    check_record(record, Origin("", 1))
    assert is_as_in_the_log(record, event.event_type, event.payload)


@pytest.mark.parametrize("name", ["position", "lane_previous", "hash", "previous_hash", "proof"])
def test_a_record_whose_place_was_changed_proves_nothing(name: str) -> None:
    good = dict(record_headers(chained(EVENT), EVENT.aggregate, 4))
    other = b"8" if isinstance(good[name], bytes) and len(good[name] or b"") < 9 else b"0" * 64
    for origin in (Origin("", 1), Origin("", None), None):
        with pytest.raises(PoisonRecord, match="not a record of the relay"):
            check_record(record_of(chained(EVENT), **{name: other}), origin)


@pytest.mark.parametrize(
    "changes",
    [
        {"aggregate_version": b"4"},
        {"schema_version": b"2"},
        {"recorded_at": b"2026-01-02T03:04:05.007Z"},
        {"ce_time": b"2026-01-02T03:04:05.007Z"},
        {"ce_id": b"00000000-0000-0000-0000-000000000002"},
        {"ce_id": None},
        {"ce_subject": b"customer-6"},
        {"correlation_id": b"d"},
        {"causation_id": None},
        {"caller": b"boss"},
        {"traceparent": None},
    ],
)
def test_a_record_whose_headers_were_changed_is_not_as_in_the_log(
    changes: dict[str, bytes | None],
) -> None:
    record = record_of(chained(EVENT), **changes)
    assert not is_as_in_the_log(record, EVENT.event_type, PAYLOAD)


def test_a_record_with_another_payload_or_type_is_not_as_in_the_log() -> None:
    record = record_of(chained(EVENT))
    assert not is_as_in_the_log(record, EVENT.event_type, PAYLOAD + b" ")
    assert not is_as_in_the_log(record, "CustomerCreated", PAYLOAD)


def test_records_of_earlier_relays_count_below_the_first_position_that_is_proven() -> None:
    event = chained(EVENT)
    columns = {entry.name: getattr(event, entry.name) for entry in fields(Envelope)}
    earlier = record_of(Envelope(**columns))
    assert is_as_in_the_log(earlier, EVENT.event_type, PAYLOAD)
    for origin in (None, Origin("", None), Origin("", event.position + 1)):
        check_record(earlier, origin)
    for proven_from in (1, event.position):
        with pytest.raises(PoisonRecord):
            check_record(earlier, Origin("", proven_from))


def mark_of(**changes: Any) -> Watermark:
    """Return a watermark with both proofs, made here by the words of the reference."""
    before, own = "07" * 32, "ab" * 32
    place = "\n".join(("watermark", before, own, "9", "9", "4", "None", "None"))
    lanes = "\n".join(("lanes", before, own, "9", "5"))
    proofs = [sha256(said.encode()).hexdigest() for said in (place, lanes)]
    mark = Watermark(9, own, None, [9, 4], None, before, proofs[0], 5, proofs[1])
    return msgspec.structs.replace(mark, **changes)


@pytest.mark.parametrize(
    "changes",
    [{"lanesSince": 0}, {"lanesSince": 6}, {"lanesProof": None}, {"lanesProof": "0" * 64}],
)
def test_a_watermark_proves_since_when_its_lanes_are(changes: dict[str, Any]) -> None:
    check_mark(mark_of(), Origin("", 1))
    # A relay of before says nothing of that.
    check_mark(mark_of(lanesSince=None, lanesProof=None), Origin("", 1))
    with pytest.raises(PoisonRecord, match="from where its lanes apply"):
        check_mark(mark_of(**changes), Origin("", 1))
