"""Folds events into the rows of the state tables.

An entity with lines is handed over as soon as it begins, since there are many; of later events only
the changed columns are kept. Other entities are kept until the end.
Next: upkeep/state_tables.py
"""

from collections.abc import Iterator
from typing import Any

from storelog.read_models.change import Change
from storelog.shop.aggregate import Aggregate
from storelog.shop.columns import LINES_TABLE, Row, columns_of, has_lines, line_rows_of, rows_of
from storelog.shop.events import ENTITIES
from storelog.shop.evolve import evolve

_WITH_LINES = tuple(each for each in ENTITIES if has_lines(each.structure))
_KEPT = tuple(each for each in ENTITIES if each not in _WITH_LINES)


class FoldedRows:
    """The rows of each table that the folded events make."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[int, Aggregate[Any]]] = {each.name: {} for each in _KEPT}
        self._begun: dict[str, list[Aggregate[Any]]] = {each.name: [] for each in _WITH_LINES}
        self._changed: dict[str, dict[int, dict[str, Any]]] = {e.name: {} for e in _WITH_LINES}

    def fold(self, change: Change) -> None:
        """Fold an event. Raises LookupError for a change of an entity that does not exist."""
        kind, event = change.kind, change.event
        number: int = getattr(event, kind.entity.id_field)
        if kind.entity not in _WITH_LINES:
            kept = self._kept[kind.entity.name]
            kept[number] = evolve(kept.get(number), event)
        elif kind.begins:
            self._begun[kind.entity.name].append(evolve(None, event))
        else:
            members = kind.members
            changed = self._changed[kind.entity.name].setdefault(number, {})
            for name in columns_of(kind.entity.structure)[1:]:
                if name in members:
                    # Only the last value of each column is needed, since rows are written once.
                    changed[name] = getattr(event, members[name])
            changed.update(version=change.version, is_deleted=kind.ends)

    def begun(self) -> Iterator[tuple[str, list[Row]]]:
        """Yield the rows that can be written already, by table, each row once."""
        for entity in _WITH_LINES:
            new, self._begun[entity.name] = self._begun[entity.name], []
            yield entity.collection, rows_of(entity.structure, new)
            yield LINES_TABLE, [row for each in new for row in line_rows_of(each.entity)]

    def kept(self) -> Iterator[tuple[str, list[Row]]]:
        """Yield the rows that were kept, by table, once everything is folded."""
        for entity in _KEPT:
            yield entity.collection, rows_of(entity.structure, self._kept[entity.name].values())

    def changed(self) -> Iterator[tuple[str, Row, list[Row]]]:
        """Yield what changed in rows of `begun`: their table, columns (the key first), rows."""
        for entity in _WITH_LINES:
            by_columns: dict[Row, list[Row]] = {}
            for number, changed in self._changed[entity.name].items():
                columns = (entity.id_field, *changed)
                by_columns.setdefault(columns, []).append((number, *changed.values()))
            for columns, rows in by_columns.items():
                yield entity.collection, columns, rows
