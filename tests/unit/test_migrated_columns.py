"""What the declarations say of a column, some migration says as well: the column and its limits."""

import re
from importlib.resources import files

import pytest
from msgspec import Struct

from storelog.shop.columns import LINES_TABLE, OF_AGGREGATES, columns_of, line_structure_of
from storelog.shop.events import ENTITIES
from storelog.shop.fields import Field, fields_of
from storelog.shop.kinds import Text
from storelog.shop.order import Order

TABLES: dict[str, type[Struct]] = {
    **{entity.collection: entity.structure for entity in ENTITIES},
    LINES_TABLE: line_structure_of(Order),
}
COLUMNS = [(table, name) for table, structure in TABLES.items() for name in columns_of(structure)]


def statements(table: str) -> str:
    """Return the statements that make or change a table, in order."""
    names = sorted(f.name for f in files("storelog.migrations").iterdir() if f.name.endswith("sql"))
    sql = "\n".join((files("storelog.migrations") / name).read_text("utf-8") for name in names)
    plain = " ".join(re.sub(r"--.*", "", sql).split())
    return "; ".join(re.findall(rf"(?:CREATE|ALTER) TABLE {table} (?:[^;])*", plain))


def column(table: str, name: str) -> str:
    """Return what a migration says of a column, up to the next one."""
    found = re.findall(
        rf"(?:[(,] (?:ADD COLUMN )?|ADD COLUMN |TABLE {table} \( ?){name} "
        r"((?:[^,()]|\((?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*\))*)",
        statements(table),
    )
    assert found, f"no migration makes the column {table}.{name}"
    return str(found[-1])


def declared(table: str, name: str) -> Field:
    return next(field for field in fields_of(TABLES[table]) if field.name == name)


@pytest.mark.parametrize(("table", "name"), COLUMNS)
def test_a_declared_field_has_its_column_with_its_limits(table: str, name: str) -> None:
    field, sql = declared(table, name), column(table, name)
    required = "NOT NULL" in sql or "PRIMARY KEY" in sql
    assert required != field.is_nullable
    if isinstance(field.kind, Text):
        limits = (field.kind.shortest, field.kind.longest)
        assert f"CHECK (char_length({name}) BETWEEN {limits[0]} AND {limits[1]})" in sql


@pytest.mark.parametrize("table", [entity.collection for entity in ENTITIES])
def test_every_entity_has_its_version_and_whether_it_is_deleted(table: str) -> None:
    assert all(column(table, name) for name in OF_AGGREGATES)


@pytest.mark.parametrize(
    ("table", "name"), [place for place in COLUMNS if declared(*place).unique is not None]
)
def test_a_unique_field_has_its_deferred_constraint_on_what_is_not_deleted(
    table: str, name: str
) -> None:
    assert (
        f"EXCLUDE USING btree ({name} WITH =) WHERE (NOT is_deleted AND {name} IS NOT NULL)"
        " DEFERRABLE INITIALLY DEFERRED"
    ) in statements(table)
