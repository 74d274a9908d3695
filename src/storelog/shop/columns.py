"""The state tables' columns: one for each field of an entity, but none for a computed field.

A table also has the aggregate's version and whether it is deleted. Lines have a table of their own,
in which each row carries the id of the entity that the line belongs to.
Next: command_service/store.py
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, TypeVar

from msgspec import Struct

from storelog.shop.aggregate import Aggregate
from storelog.shop.fields import Field, fields_of
from storelog.shop.kinds import Lines, Money, Time
from storelog.typed_cache import cached

S = TypeVar("S", bound=Struct)
OF_AGGREGATES = ("version", "is_deleted")
LINES_TABLE = "order_items"
Row = tuple[Any, ...]


@cached()
def columns_of(structure: type[Struct]) -> tuple[str, ...]:
    """Return the columns that a structure's fields are written to."""
    return tuple(field.name for field in _stored(structure))


@cached()
def read_columns_of(structure: type[Struct]) -> tuple[str, ...]:
    """Return the columns that a structure is read from, the computed ones included."""
    return tuple(f.name for f in fields_of(structure) if not isinstance(f.kind, Lines))


def _stored(structure: type[Struct]) -> list[Field]:
    # PostgreSQL generates the computed columns itself and rejects a statement that writes one.
    return [
        field
        for field in fields_of(structure)
        if not field.is_computed and not isinstance(field.kind, Lines)
    ]


@cached()
def values_of(structure: type[Struct]) -> Callable[[Struct], Row]:
    """Return the function that gives a structure's values, by its columns."""
    return attrgetter(*columns_of(structure))


def rows_of(structure: type[Struct], aggregates: Iterable[Aggregate[Any]]) -> list[Row]:
    """Return the rows of aggregates of one structure, by `columns_of` and OF_AGGREGATES."""
    values = values_of(structure)
    return [(*values(each.entity), each.version, each.is_deleted) for each in aggregates]


def read_row(structure: type[S], row: Sequence[Any], lines: tuple[Struct, ...] = ()) -> S:
    """Return the structure that a row of its `read_columns_of` holds, with its lines."""
    values = (_value(each) for each in row)
    members = dict(zip(read_columns_of(structure), values, strict=True))
    if has_lines(structure):
        members[_lines_field(structure)[0]] = lines
    return structure(**members)


def _value(found: Any) -> Any:
    """Return a value from the driver as the shop's type."""
    if isinstance(found, Decimal):
        return Money(found)
    # Includes -infinity: the driver writes the earliest datetime of Python as that.
    return Time.of(found) if isinstance(found, datetime) else found


@cached()
def has_lines(structure: type[Struct]) -> bool:
    """Tell whether an entity has lines."""
    return any(field.line for field in fields_of(structure))


def line_structure_of(structure: type[Struct]) -> type[Struct]:
    """Return the structure of an entity's lines."""
    return _lines_field(structure)[1]


def line_columns_of(structure: type[Struct]) -> Row:
    """Return the columns of an entity's lines: each line's id, the entity's, and the others."""
    first, *rest = columns_of(line_structure_of(structure))
    return (first, fields_of(structure)[0].name, *rest)


def line_rows_of(entity: Struct) -> list[Row]:
    """Return the rows of an entity's lines, by `line_columns_of`."""
    structure = type(entity)
    name, line = _lines_field(structure)
    number, values = getattr(entity, fields_of(structure)[0].name), values_of(line)
    rows = (values(each) for each in getattr(entity, name))
    return [(row[0], number, *row[1:]) for row in rows]


@cached()
def _lines_field(structure: type[Struct]) -> tuple[str, type[Struct]]:
    """Return the field that holds an entity's lines, and their structure."""
    return next((field.name, field.line) for field in fields_of(structure) if field.line)
