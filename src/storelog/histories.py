"""A thing's history as MongoDB keeps it: buckets of 64 versions, and how they are read.

A bucket is `product-5/3`: the JSON of its events, and of what the thing was before them, so that
each bucket can be read alone, whatever the history's length. A repeated event is kept twice and
read once. The projector writes buckets, the Query Service and verify read them.
Next: projector/read_models/history.py
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

COLLECTION = "history"
BUCKET_VERSIONS = 64
Facts = dict[str, Any]
# What a document of each kind shows; every other fact of an event is about the event itself.
FIELDS = {
    "customer": ("name", "email", "phoneNumber"),
    "product": ("name", "price", "stock", "stockStatus"),
}


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One event: its place, when it was recorded, who called by what call, and its facts."""

    position: int
    version: int
    event_type: str
    recorded_at: datetime
    caller: str | None
    correlation_id: str
    facts: Facts


class State(msgspec.Struct, array_like=True):
    """What a thing is after an event, and which event set each of its fields last."""

    fields: Facts
    set_by: dict[str, int]


_encode = msgspec.json.Encoder().encode
_read_entry = msgspec.json.Decoder(Entry).decode
_read_state = msgspec.json.Decoder(State).decode


def bucket_of(version: int) -> int:
    """Return the number of the bucket that holds a version."""
    return (version - 1) // BUCKET_VERSIONS


def is_first_of_bucket(version: int) -> bool:
    """Tell whether a version begins a bucket."""
    return (version - 1) % BUCKET_VERSIONS == 0


def apply(state: State, entry: Entry, fields: Iterable[str]) -> list[tuple[str, Any, Any]]:
    """Move the state on by an event; return what it changed: (field, from, to)."""
    changed = []
    for name in fields:
        if name not in entry.facts:
            continue
        before, after = state.fields.get(name), entry.facts[name]
        if before != after or name not in state.fields:
            changed.append((name, before, after))
            state.fields[name], state.set_by[name] = after, entry.position
    return changed


def encode_entry(entry: Entry) -> bytes:
    """Return an entry as a bucket keeps it."""
    return _encode(entry)


def read_entries(bucket: dict[str, Any]) -> list[Entry]:
    """Return a bucket's entries in order, each once."""
    entries = {(entry := _read_entry(raw)).version: entry for raw in bucket["entries"]}
    return [entries[version] for version in sorted(entries)]


def first_position(bucket: dict[str, Any]) -> int:
    """Return the position of a bucket's first event; a repeated one stands behind it."""
    return _read_entry(bucket["entries"][0]).position


def encode_state(state: State) -> bytes:
    """Return a state as a bucket keeps it."""
    return _encode(state)


def read_before(bucket: dict[str, Any]) -> State | None:
    """Return what the thing was before the bucket's events; None where nobody could tell."""
    raw = bucket.get("before")
    return None if raw is None else _read_state(raw)


def fold_bucket(state: State, bucket: dict[str, Any], fields: Iterable[str]) -> State:
    """Move the state on by all of a bucket's events."""
    for entry in read_entries(bucket):
        apply(state, entry, fields)
    return state
