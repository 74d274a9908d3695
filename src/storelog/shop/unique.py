"""Values that no two entities may share: which entity holds which, as commands are decided on it.

It follows every event, so the second of two commands in one batch sees what the first has done.
PostgreSQL enforces the same rule by a deferred constraint on the column, which compares values at
the commit only: within one batch a value may move from one entity to another.
Next: command_service/decisions.py
"""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Struct

from storelog.errors import Conflict
from storelog.shop.aggregate import Aggregate
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import ENTITIES
from storelog.shop.fields import Field, unique_fields_of
from storelog.shop.kinds import Unique


def _values(said: Struct) -> Iterator[tuple[Field, Any]]:
    for field in unique_fields_of(type(said)):
        value = getattr(said, field.name)
        if value is not None and value is not UNSET:
            yield field, value


def unique_values() -> Iterator[tuple[EntityKind, str, Unique]]:
    """Yield each unique field: the kind of entity that has it, its name in JSON, and its mark."""
    for kind in ENTITIES:
        for field in unique_fields_of(kind.structure):
            if field.unique is not None:
                yield kind, field.json, field.unique


class Holders:
    """Which entity holds each value that was looked up, None where no entity holds it.

    A deleted entity holds no values.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[Any, int | None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def unknown(self, entity: EntityKind, said: Struct) -> Iterator[tuple[str, Any]]:
        """Yield the field and value of each value in a request that was not looked up yet."""
        for field, value in _values(said):
            if value not in self.of(entity, field.name):
                yield field.name, value

    def check(self, entity: EntityKind, number: int, event: Struct) -> None:
        """Raise Conflict, with the field's slug, if another entity holds a value of the event."""
        for field, value in _values(event):
            holder = self.of(entity, field.name).get(value)
            if holder is not None and holder != number and field.unique is not None:
                raise Conflict(field.unique.slug, f"Another {entity.name} has this {field.json}.")

    def move(
        self,
        entity: EntityKind,
        number: int,
        before: Aggregate[Any] | None,
        after: Aggregate[Any],
    ) -> None:
        """Follow an event of an entity."""
        # Release before taking: an entity that keeps its value must end up as its holder.
        if before is not None:
            for field, value in _values(before.entity):
                self.of(entity, field.name)[value] = None
        if not after.is_deleted:
            for field, value in _values(after.entity):
                self.of(entity, field.name)[value] = number

    def of(self, entity: EntityKind, name: str) -> dict[Any, int | None]:
        """Return the holders of a field's values that were looked up."""
        return self._known.setdefault((entity.name, name), {})
