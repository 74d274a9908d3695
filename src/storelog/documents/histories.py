"""An entity's history as MongoDB keeps it: buckets of 16 versions, and how they are read.

The newest events are in the entity's own document, as `history`, so an event needs no second write.
When an event begins a new bucket, the events before it move into the collection `history`, where a
bucket is `product-5/3`. Each holds the JSON of its events and of the entity's state before them, so
it can be read alone, however long the history is, and never changes. A repeated event is kept twice
and read once. The open bucket also lists where closed ones begin (`starts`), so that the bucket of
a position is found without a search.
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
# At most this many closed buckets are listed in the open one: all at first, then every second, then
# every fourth, so that a document stays small however long its history grows.
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
# Equal to no field's value, so that the first value of a field counts as a change.
_NOTHING = object()
# The fields that a document of each kind shows, each with its value before an event sets it. All
# other facts of an event are about the event itself.
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
    """One event: its position and version, its time, the call that caused it, and its facts."""

    position: int
    version: int
    event_type: str
    recorded_at: datetime
    caller: str | None
    correlation_id: str
    facts: Facts


class EntityState(msgspec.Struct, array_like=True):
    """An entity's fields after an event, and the position that set each of them last."""

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
    """Return the name of the entity whose document has this id in a collection."""
    return KEPT_IN[collection].name_of(number)


def shown_fields(name: str) -> Mapping[str, Any]:
    """Return the fields that the document of an entity such as `product-5` shows.

    Each has its value before an event sets it: the declared one of a field that was added later,
    else one that equals nothing.
    """
    return FIELDS[name.partition("-")[0]]


def apply(
    state: EntityState, entry: Entry, fields: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
    """Apply an event to the state; return what it changed: (field, from, to)."""
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
    """Return a bucket; `before` is the encoded state, None for an entity's first bucket.

    `starts`: where the closed buckets begin, for an open one.
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
        # A repeated entry comes after its first copy, and first copies are in order.
        if entry.position > up_to:
            break
        entries[entry.version] = entry
    return [entries[version] for version in sorted(entries)]


def start_of(bucket: Bucket) -> Start | None:
    """Return a bucket's number and the position of its first event, None when it is empty.

    A bucket can hold more than its versions: where the event that should have begun the next bucket
    was discarded as a dead letter, the events after it stay in this one.
    """
    if not bucket["entries"]:
        return None
    first = _read_entry(bucket["entries"][0])
    return bucket_of(first.version), first.position


def bucket_number(bucket: Bucket) -> int | None:
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
    """Return the entity's state before the bucket's events."""
    raw = bucket.get("before")
    return EntityState({}, {}) if raw is None else _read_state(raw)


def split(bucket: Bucket, newer: Iterable[Entry], fields: Mapping[str, Any]) -> list[Bucket]:
    """Return the closed buckets of an open one with newer entries, and the new open one last."""
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
