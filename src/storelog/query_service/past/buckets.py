"""Reads histories: the events of an entity up to a version, and its state at a version.

The newest events are in the entity's own document, the others in buckets.
Next: documents/histories.py
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storelog.documents.histories import (
    BUCKET_VERSIONS,
    Bucket,
    EntityState,
    apply,
    bucket_number,
    bucket_of,
    open_bucket,
    read_before,
    read_entries,
    shown_fields,
)
from storelog.query_service.positions.view import Document, View


@dataclass(frozen=True, slots=True)
class EntityEvent:
    """One event of an entity: `changed` has (field, from, to), `about` all other facts."""

    position: int
    version: int
    event_type: str
    recorded_at: datetime
    caller: str | None
    correlation_id: str
    changed: list[tuple[str, Any, Any]]
    about: dict[str, Any]


async def events_down_from(
    view: View, name: str, found: Document, version: int, count: int
) -> list[EntityEvent]:
    """Return at most `count` events of an entity, the given version first, then earlier ones.

    `found` is the entity's document.
    """
    own = open_bucket(found)
    events: list[EntityEvent] = []
    number = bucket_of(version) if version > 0 else -1
    first = bucket_number(own)
    if first is not None and number >= first:
        events += _events_of(name, own, version)
        number = first - 1
    while number >= 0 and len(events) < count:
        wanted = range(number, max(-1, number - 1 - count // BUCKET_VERSIONS), -1)
        buckets = await view.raw("history", [f"{name}/{n}" for n in wanted])
        for n in wanted:
            if f"{name}/{n}" in buckets:
                events += _events_of(name, buckets[f"{name}/{n}"], version)
        number = wanted[-1] - 1
    return events[:count]


def _events_of(name: str, bucket: Bucket, version: int) -> list[EntityEvent]:
    """Return a bucket's events up to the version, newest first."""
    state, fields = read_before(bucket), shown_fields(name)
    events = [
        EntityEvent(
            entry.position,
            entry.version,
            entry.event_type,
            entry.recorded_at,
            entry.caller,
            entry.correlation_id,
            apply(state, entry, fields),
            {fact: value for fact, value in entry.facts.items() if fact not in fields},
        )
        for entry in read_entries(bucket)
        if entry.version <= version
    ]
    return events[::-1]


async def state_at(view: View, name: str, found: Document, version: int) -> EntityState:
    """Return the entity's state after the event of a version, or after the last one before it."""
    bucket, number = open_bucket(found), bucket_of(version)
    first = bucket_number(bucket)
    if first is None or number < first:
        bucket = {"entries": []}
        # A bucket is missing if its first event was discarded: the one before has its events.
        for earlier in range(number, -1, -1):
            label = f"{name}/{earlier}"
            stored = (await view.raw("history", [label])).get(label)
            if stored is not None:
                bucket = stored
                break
    state = read_before(bucket)
    for entry in read_entries(bucket):
        if entry.version <= version:
            apply(state, entry, shown_fields(name))
    return state
