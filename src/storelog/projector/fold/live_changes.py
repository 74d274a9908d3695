"""The collection `changes`: what changed at each position, for the streams of GET /live.

Append-only: a document holds what one batch of one lane changed within one block of positions, as
the bytes that streams send. So the changes after a position are found by equality on `block`, and
only new ones are read. A repeated event may be in two documents, with the same content in both.
Next: projector/write/changes_writer.py
"""

import zlib
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from storelog.envelope import format_time
from storelog.read_models.change import Change
from storelog.read_side import BLOCK_POSITIONS
from storelog.shop.event_kinds import EventKind
from storelog.shop.fields import fields_of
from storelog.shop.json_values import shown
from storelog.shop.kinds import Lines
from storelog.typed_cache import cached

COLLECTION = "changes"
INDEX = [("block", 1)]
Conversion = Callable[[Any], Any]
_encode = msgspec.json.Encoder().encode


def block_of(position: int) -> int:
    """Return the number of the block that holds a position."""
    return (position - 1) // BLOCK_POSITIONS


def live_change_of(change: Change) -> tuple[int, str, dict[str, Any]]:
    """Return a change as streams send it: the position, the event's type, and its facts.

    An order's lines are counted, not listed, so that a change stays within a few KiB.
    """
    facts = {
        "position": change.position,
        "eventType": change.kind.name,
        "aggregate": change.aggregate,
        "version": change.version,
        "recordedAt": format_time(change.origin.recorded_at),
        "correlationId": change.origin.correlation_id,
        "change": _facts(change),
    }
    return change.position, change.kind.name, facts


def _facts(change: Change) -> dict[str, Any]:
    event = change.event
    return {name: form(get(event)) for name, get, form in _told(change.kind)}


@cached()
def _told(kind: EventKind) -> tuple[tuple[str, Conversion, Conversion], ...]:
    """Return the facts of a kind of event: each one's name, what reads it, and what converts it."""
    names = {field.name for field in fields_of(kind.shown)}
    return tuple(
        ("lines", attrgetter(field.name), len)
        if isinstance(field.kind, Lines)
        else (field.json, attrgetter(field.name), shown)
        for field in fields_of(kind.payload)
        # An event that ends its entity also tells when, in `deletedAt`.
        if kind.ends or field.name in names
    )


def pack(entries: Sequence[tuple[int, str, dict[str, Any]]]) -> bytes:
    """Return entries as a document keeps them."""
    return zlib.compress(_encode(entries), 1)
