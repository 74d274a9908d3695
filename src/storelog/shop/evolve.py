"""The one fold of an event into its entity: for commands, and for rebuilt tables.

`verify` has a fold of its own: it would not find a fault in this one if it shared the code.
Next: event_codec.py
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from msgspec import Struct, structs

from storelog.shop.aggregate import Aggregate
from storelog.shop.event_kinds import ALL, EventKind
from storelog.shop.events import EVENTS, Event

Fold = Callable[[Aggregate[Any] | None, Any], Struct]


def evolve(before: Aggregate[Any] | None, event: Event) -> Aggregate[Any]:
    """Return the aggregate after an event; `before` is None for the first event.

    Raises LookupError where an entity that does not exist is changed.
    """
    fold, ends = _FOLDS[type(event)]
    version = 1 if before is None else before.version + 1
    return Aggregate(fold(before, event), version, ends)


def _fold_of(kind: EventKind) -> Fold:
    """Return the fold that a kind's declaration describes."""
    # Such an event needs no state before it: a stream can be folded from its newest one on.
    if kind.sets == ALL:
        values, structure = attrgetter(*kind.members.values()), kind.entity.structure
        return lambda _before, event: structure(*values(event))
    members = tuple(kind.members.items())

    def change(before: Aggregate[Any] | None, event: Event) -> Struct:
        if before is None:
            raise LookupError(f"{kind.name} before its {kind.entity.name} begins")
        entity: Struct = before.entity
        return structs.replace(entity, **{name: getattr(event, of) for name, of in members})

    return change


_FOLDS = {kind.payload: (_fold_of(kind), kind.ends) for kind in EVENTS}
