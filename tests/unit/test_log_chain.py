"""The chain of hashes covers every field of an event, and its place in the log."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from storelog.envelope import GENESIS_HASH, Envelope, chain_hash

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
EVENT = Envelope(
    1,
    b"",
    UUID(int=1),
    "order",
    7,
    1,
    "OrderCreated",
    1,
    b"{}",
    NOW,
    NOW,
    "abc",
    None,
    "shop",
    None,
)
OTHER: dict[str, Any] = {
    "position": 2,
    "event_id": UUID(int=2),
    "aggregate_type": "product",
    "aggregate_id": 8,
    "version": 2,
    "event_type": "OrderDeleted",
    "schema_version": 2,
    "occurred_at": NOW + timedelta(milliseconds=1),
    "recorded_at": NOW + timedelta(milliseconds=1),
    "correlation_id": "abd",
    "causation_id": "",
    "caller": None,
    "traceparent": "00-1",
}


def hashed(event: Envelope, previous: bytes = GENESIS_HASH) -> bytes:
    return chain_hash(previous, event, sha256(event.payload).digest())


@pytest.mark.parametrize("name", OTHER)
def test_a_change_of_any_field_changes_the_hash(name: str) -> None:
    assert hashed(replace(EVENT, **{name: OTHER[name]})) != hashed(EVENT)


def test_every_field_is_covered() -> None:
    assert set(OTHER) | {"hash", "payload"} == {field.name for field in fields(Envelope)}
    assert hashed(replace(EVENT, payload=b"[]")) != hashed(EVENT)


def test_the_hash_depends_on_the_event_before() -> None:
    assert hashed(EVENT, bytes(31) + b"\1") != hashed(EVENT)


def test_texts_that_run_together_are_told_apart() -> None:
    first = replace(EVENT, correlation_id="ab", caller="c")
    second = replace(EVENT, correlation_id="a", caller="bc")
    assert hashed(first) != hashed(second)


def test_the_hash_of_a_known_event_never_changes() -> None:
    # A log written by an older release must still verify.
    assert hashed(EVENT).hex() == (
        "b159590369d065bd2f42cc4d51b5676ea9a2989b13a246cb6a318d5206555d69"
    )
