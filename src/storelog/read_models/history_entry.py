"""What an event adds to the history of its entity.

An entity that is created and deleted only has no history: its own document tells both.
Next: projector/write/history_writer.py
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from msgspec import UNSET

from storelog.documents.histories import Entry
from storelog.read_models.change import Change
from storelog.shop.event_kinds import EventKind
from storelog.shop.events import Event
from storelog.shop.fields import fields_of
from storelog.shop.json_values import shown
from storelog.typed_cache import cached


def entry_of(change: Change) -> Entry:
    """Return what a change of an entity adds to its history."""
    event, kind = change.event, change.kind
    facts = {name: shown(get(event)) for name, get in _fields(kind)}
    for name, member in kind.about.items():
        value = getattr(event, member)
        if value is not UNSET and value is not None:
            facts[name] = shown(value)
    origin = change.origin
    return Entry(
        change.position,
        change.version,
        change.kind.name,
        origin.recorded_at,
        origin.caller,
        origin.correlation_id,
        facts,
    )


@cached()
def _fields(kind: EventKind) -> tuple[tuple[str, Callable[[Event], Any]], ...]:
    """Return the entity's fields that an event sets, each with the function that reads it."""
    return tuple(
        (field.json, attrgetter(kind.members[field.name]))
        for field in fields_of(kind.entity.structure)[1:]
        if field.name in kind.members
    )
