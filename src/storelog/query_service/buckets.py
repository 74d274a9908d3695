"""Reads histories' buckets: the events below a version, and what a thing was at a version.

Next: histories.py
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storelog.histories import (
    BUCKET_VERSIONS,
    FIELDS,
    State,
    apply,
    bucket_of,
    fold_bucket,
    read_before,
    read_entries,
)
from storelog.query_service.view import Document, View


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a thing: what it changed (field, from, to), and what else it says."""

    position: int
    version: int
    event_type: str
    recorded_at: datetime
    caller: str | None
    correlation_id: str
    changed: list[tuple[str, Any, Any]]
    about: dict[str, Any]


def fields_of(name: str) -> tuple[str, ...]:
    """Return which fields a thing's document shows."""
    return FIELDS[name.partition("-")[0]]


async def events_down_from(view: View, name: str, version: int, count: int) -> list[Event]:
    """Return at most `count` events of the thing, from the version down."""
    events: list[Event] = []
    number = bucket_of(version) if version > 0 else -1
    while number >= 0 and len(events) < count:
        wanted = range(number, max(-1, number - 1 - count // BUCKET_VERSIONS), -1)
        found = await view.raw("history", [f"{name}/{n}" for n in wanted])
        for n in wanted:
            bucket = found.get(f"{name}/{n}")
            if bucket is not None:
                within = await _events_of(view, name, n, bucket)
                events += [event for event in reversed(within) if event.version <= version]
        number = wanted[-1] - 1
    return events[:count]


async def _events_of(view: View, name: str, number: int, bucket: Document) -> list[Event]:
    state, fields = await before_bucket(view, name, number, bucket), fields_of(name)
    return [
        Event(
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
    ]


async def before_bucket(view: View, name: str, number: int, bucket: Document) -> State:
    """Return what the thing was before a bucket, which says so if it has its first event."""
    state = read_before(bucket)
    while state is None and number > 0:
        number -= 1
        earlier = (await view.raw("history", [f"{name}/{number}"])).get(f"{name}/{number}")
        if earlier is not None:
            before = await before_bucket(view, name, number, earlier)
            state = fold_bucket(before, earlier, fields_of(name))
    return state or State({}, {})


async def state_at(view: View, name: str, version: int) -> State:
    """Return what the thing was after its event of the version, or the last one before it."""
    number = bucket_of(version)
    bucket = (await view.raw("history", [f"{name}/{number}"])).get(f"{name}/{number}")
    bucket = bucket or {"entries": []}
    state = await before_bucket(view, name, number, bucket)
    for entry in read_entries(bucket):
        if entry.version <= version:
            apply(state, entry, fields_of(name))
    return state
