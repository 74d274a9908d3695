"""Makes the SQL function that appends a batch, from the entities' declarations.

Each release has a function of its own, `append_batch_<shape>`, with types of its own for the rows
of each table; `<shape>` is a hash of the SQL, so another column makes another name. Services of two
releases can therefore write to one database, each through its own function (docs/decisions/0046).
Next: relay/sending.py
"""

from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files
from typing import assert_never

from msgspec import Struct

from storelog.shop.columns import (
    LINES_TABLE,
    OF_AGGREGATES,
    columns_of,
    has_lines,
    line_columns_of,
    line_structure_of,
)
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import ENTITIES
from storelog.shop.fields import fields_of
from storelog.shop.kinds import (
    Amount,
    Choice,
    EmailAddress,
    Flag,
    Instant,
    Kind,
    Lines,
    PhoneNumber,
    Text,
    Whole,
)
from storelog.shop.value import value

PREFIX = "append_batch_"
_MAX_INTEGER = 2**31 - 1


@value
class AppendBatch:
    """The function's name, and the SQL that makes it and its types."""

    name: str
    sql: str


@value
class _Table:
    """A table with its columns and their types, the key first; rows of lines never change."""

    name: str
    columns: dict[str, str]
    changes: bool

    @property
    def arguments(self) -> list[str]:
        return [f"new_{self.name}", *([f"changed_{self.name}"] if self.changes else [])]

    def type(self) -> str:
        columns = ",\n".join(f"    {name} {type_}" for name, type_ in self.columns.items())
        return f"CREATE TYPE {self.name}_row_<shape> AS (\n{columns}\n);"

    def parameters(self) -> str:
        return "".join(f"    {each} {self.name}_row_<shape>[],\n" for each in self.arguments)

    def writes(self) -> str:
        key, *others = self.columns
        # Most batches leave some tables as they are: an empty array must not cost a statement.
        insert = (
            f"    IF cardinality(new_{self.name}) > 0 THEN\n"
            f"        INSERT INTO {self.name} ({', '.join(self.columns)})\n"
            f"        SELECT * FROM unnest(new_{self.name});\n"
            "    END IF;\n"
        )
        if not self.changes:
            return insert
        changes = ",\n            ".join(f"{name} = {self._given(name)}" for name in others)
        return insert + (
            f"    IF cardinality(changed_{self.name}) > 0 THEN\n"
            f"        UPDATE {self.name} t SET\n            {changes}\n"
            f"        FROM unnest(changed_{self.name}) n WHERE t.{key} = n.{key};\n"
            "    END IF;\n"
        )

    def _given(self, name: str) -> str:
        if self.columns[name] != "timestamptz":
            return f"n.{name}"
        # asyncpg sends the first moment that Python has, which old orders have, as -infinity.
        first = "timestamptz '0001-01-01T00:00:00Z'"
        return f"CASE n.{name} WHEN '-infinity' THEN {first} ELSE n.{name} END"


def append_batch(entities: Iterable[EntityKind]) -> AppendBatch:
    """Return the function that writes the rows of these entities, in this order."""
    tables = [
        table for entity in entities for table in _tables(entity.collection, entity.structure)
    ]
    template = files("storelog.migrations").joinpath("append_batch.template").read_text("utf-8")
    text = (
        template.replace("<types>", "\n".join(table.type() for table in tables))
        .replace("<parameters>\n", "".join(table.parameters() for table in tables))
        .replace("<writes>\n", "".join(table.writes() for table in tables))
    )
    shape = sha256(text.encode()).hexdigest()[:8]
    return AppendBatch(PREFIX + shape, text.replace("<shape>", shape))


def _tables(name: str, structure: type[Struct]) -> list[_Table]:
    types = _types(structure)
    of_aggregates = dict(zip(OF_AGGREGATES, ("integer", "boolean"), strict=True))
    own = {column: types[column] for column in columns_of(structure)}
    tables = [_Table(name, own | of_aggregates, changes=True)]
    if has_lines(structure):
        types |= _types(line_structure_of(structure))
        lines = {column: types[column] for column in line_columns_of(structure)}
        tables.append(_Table(LINES_TABLE, lines, changes=False))
    return tables


def _types(structure: type[Struct]) -> dict[str, str]:
    fields = (field for field in fields_of(structure) if field.line is None)
    return {field.name: _sql_type(field.kind) for field in fields}


def _sql_type(kind: Kind) -> str:
    match kind:
        case Whole(highest=highest):
            return "bigint" if highest > _MAX_INTEGER else "integer"
        case Text() | EmailAddress() | PhoneNumber() | Choice():
            return "text"
        case Amount():
            return "numeric"
        case Instant():
            return "timestamptz"
        case Flag():
            return "boolean"
        case Lines():
            raise TypeError("lines have a table of their own")
        case _:
            assert_never(kind)


OF_THIS_RELEASE = append_batch(ENTITIES)
