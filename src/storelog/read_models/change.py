"""An event as the read models see it: its place in the log, and its payload, checked and typed.

A payload that does not match its schema raises PoisonRecord before anything is folded.
Next: read_models/read_model.py
"""

from datetime import datetime

from storelog.envelope import Envelope
from storelog.errors import PoisonRecord
from storelog.event_codec import name_of, read_event
from storelog.shop.event_kinds import EventKind
from storelog.shop.events import Event, kind_of
from storelog.shop.value import value


@value
class EventOrigin:
    """When an event was recorded, and which call of which API key caused it (None without keys)."""

    recorded_at: datetime
    caller: str | None
    correlation_id: str


@value
class Change:
    """One event to fold.

    `position`: its place in the log. `kind`: what shop/events.py declares of it. `aggregate`: the
    name of its entity, `product-5`; `version`: how many events that has with this one. `event`: the
    payload, lifted to the current schema version, an instance of `kind.payload`. `origin`: when it
    was recorded, and who asked for it.
    """

    position: int
    kind: EventKind
    aggregate: str
    version: int
    event: Event
    origin: EventOrigin


def read_change(
    position: int,
    event_type: str,
    aggregate: str,
    version: int,
    schema_version: int,
    payload: bytes,
    origin: EventOrigin,
) -> Change:
    """Return the change that an event's payload bytes describe. Raises PoisonRecord."""
    event = read_event(event_type, schema_version, payload)
    name = name_of(event)
    # The key chose the lane. Under another key, two lanes could write to one document.
    if name != aggregate:
        raise PoisonRecord(f"{event_type} of {name} came under the key {aggregate!r}")
    return Change(position, kind_of(event), aggregate, version, event, origin)


def change_of_event(event: Envelope) -> Change:
    """Return the change that an event of the log describes. Raises PoisonRecord."""
    return read_change(
        event.position,
        event.event_type,
        event.aggregate,
        event.version,
        event.schema_version,
        event.payload,
        EventOrigin(event.recorded_at, event.caller, event.correlation_id),
    )
