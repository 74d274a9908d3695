"""A thing's history as MongoDB keeps it: buckets of 16 versions, and how they are read.

The newest events stand in the thing's own document, as `history`, so that an event costs no second
write. Once an event begins a new bucket, those before it move into the collection `history`, where
a bucket is `product-5/3`. Each holds the JSON of its events and of what the thing was before them,
so that it can be read alone, whatever the history's length, and never changes. A repeated event is
kept twice and read once. The open bucket also says where closed ones begin (`starts`), so that the
one which holds a position is found at once.
The projector writes buckets, the Query Service and verify read them.
Next: read_models/history_entry.py
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from storelog.shop.events import ENTITIES, EVENTS
from storelog.shop.fields import fields_of

COLLECTION = "history"
# The name of a document's own bucket, of its newest events.
OPEN = "history"
BUCKET_VERSIONS = 16
# So many closed buckets the open one names at most: all, then every second, then every fourth.
MAX_STARTS = 128
_START = struct.Struct("<Iq")
MAX_POSITION = 2**63 - 1
Facts = dict[str, Any]
Bucket = dict[str, Any]
# A bucket's number, and the position of its first event.
Start = tuple[int, int]
# Entities that have buckets: those with an event between the first and the last.
_CHANGING = frozenset(kind.entity for kind in EVENTS if not kind.begins and not kind.ends)
KEPT = tuple(entity for entity in ENTITIES if entity in _CHANGING)
# Not the value of any field: the first value that is said of it is a change.
_NOTHING = object()
# What a document of each kind shows, each field with its value before it was first said; every
# other fact of an event is about the event itself.
FIELDS: Mapping[str, Mapping[str, Any]] = {
    kind.name: {
        field.json: field.since.before if field.since else _NOTHING
        for field in fields_of(kind.structure)[1:]
    }
    for kind in KEPT
}
# The collections of their documents.
KEPT_IN = {kind.collection: kind for kind in KEPT}


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One event: its place, when it was recorded, who called by what call, and its facts."""

    position: int
    version: int
    event_type: str
    recorded_at: datetime
    caller: str | None
    correlation_id: str
    facts: Facts


class EntityState(msgspec.Struct, array_like=True):
    """What a thing is after an event, and which event set each of its fields last."""

    fields: Facts
    set_by: dict[str, int]


_encode = msgspec.json.Encoder().encode
_read_entry = msgspec.json.Decoder(Entry).decode
_read_state = msgspec.json.Decoder(EntityState).decode


def bucket_of(version: int) -> int:
    """Return the number of the bucket that holds a version."""
    return (version - 1) // BUCKET_VERSIONS


def begins_new_bucket(version: int) -> bool:
    """Tell whether a version closes the bucket before it."""
    return version > 1 and (version - 1) % BUCKET_VERSIONS == 0


def name_of(collection: str, number: int) -> str:
    """Return the name of the thing that a document of a collection is of."""
    return KEPT_IN[collection].name_of(number)


def shown_fields(name: str) -> Mapping[str, Any]:
    """Return which fields the document of a thing such as `product-5` shows.

    Each with its value before any event says one: that of a field which came later, else nothing's.
    """
    return FIELDS[name.partition("-")[0]]


def apply(
    state: EntityState, entry: Entry, fields: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
    """Move the state on by an event; return what it changed: (field, from, to)."""
    changed = []
    for name, at_first in fields.items():
        if name not in entry.facts:
            continue
        before, after = state.fields.get(name, at_first), entry.facts[name]
        if before != after:
            changed.append((name, None if before is _NOTHING else before, after))
            state.fields[name], state.set_by[name] = after, entry.position
    return changed


def encode_entry(entry: Entry) -> bytes:
    """Return an entry as a bucket keeps it."""
    return _encode(entry)


def make_bucket(before: bytes | None, entries: Iterable[Entry], starts: bytes = b"") -> Bucket:
    """Return a bucket; `before` is the encoded state, None for a thing's first bucket.

    `starts`: for an open bucket, where closed ones begin.
    """
    bucket: Bucket = {} if before is None else {"before": before}
    bucket["entries"] = [_encode(entry) for entry in entries]
    return {**bucket, "starts": starts} if starts else bucket


def open_bucket(document: dict[str, Any]) -> Bucket:
    """Return the bucket of the newest events, which an entity's document holds."""
    bucket: Bucket = document.get(OPEN) or {}
    return {"entries": [], **bucket}


def read_entries(bucket: Bucket, up_to: int = MAX_POSITION) -> list[Entry]:
    """Return a bucket's entries in order, each once: those at or below a position."""
    entries: dict[int, Entry] = {}
    for raw in bucket["entries"]:
        entry = _read_entry(raw)
        # A repeated one stands behind the first of its kind, and those are in order.
        if entry.position > up_to:
            break
        entries[entry.version] = entry
    return [entries[version] for version in sorted(entries)]


def start_of(bucket: Bucket) -> Start | None:
    """Return a bucket's number and the position of its first event, None when it is empty.

    Where the event that would have begun the next one was discarded, it holds those events as well.
    """
    if not bucket["entries"]:
        return None
    first = _read_entry(bucket["entries"][0])
    return bucket_of(first.version), first.position


def number_of(bucket: Bucket) -> int | None:
    """Return a bucket's number, None when it is empty."""
    start = start_of(bucket)
    return None if start is None else start[0]


def add_start(starts: bytes, number: int, position: int) -> bytes:
    """Return the packed starts with that of one more closed bucket, unless it is left out."""
    each = 1
    while number >= each * MAX_STARTS:
        each *= 2
    if number % each:
        return starts
    if len(starts) >= MAX_STARTS * _START.size:
        kept = [start for start in list_starts(starts) if start[0] % each == 0]
        starts = b"".join(_START.pack(*start) for start in kept)
    return starts + _START.pack(number, position)


def list_starts(starts: bytes) -> list[Start]:
    """Return packed starts, ascending."""
    return [(number, position) for number, position in _START.iter_unpack(starts)]


def starts_around(starts: bytes, position: int) -> tuple[Start | None, Start | None]:
    """Return the last start at or before a position, and the first after it."""
    count = len(starts) // _START.size

    def at(place: int) -> Start:
        number, first = _START.unpack_from(starts, place * _START.size)
        return number, first

    place = bisect_right(range(count), position, key=lambda place: at(place)[1])
    return at(place - 1) if place > 0 else None, at(place) if place < count else None


def encode_state(state: EntityState) -> bytes:
    """Return a state as a bucket keeps it."""
    return _encode(state)


def read_before(bucket: Bucket) -> EntityState:
    """Return what the thing was before the bucket's events."""
    raw = bucket.get("before")
    return EntityState({}, {}) if raw is None else _read_state(raw)


def split(bucket: Bucket, newer: Iterable[Entry], fields: Mapping[str, Any]) -> list[Bucket]:
    """Return the closed buckets of an open one and newer entries, and the open one at the end."""
    known = {entry.version: entry for entry in read_entries(bucket)}
    known |= {entry.version: entry for entry in newer}
    state, before = read_before(bucket), bucket.get("before")
    starts: bytes = bucket.get("starts", b"")
    buckets: list[Bucket] = []
    some: list[Entry] = []
    for version in sorted(known):
        if some and begins_new_bucket(version):
            buckets.append(make_bucket(before, some))
            starts = add_start(starts, bucket_of(some[0].version), some[0].position)
            before, some = encode_state(state), []
        apply(state, known[version], fields)
        some.append(known[version])
    return [*buckets, make_bucket(before, some, starts)]
