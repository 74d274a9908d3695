"""The SQL function that appends a batch follows the declarations of the entities."""

from typing import Annotated

from msgspec import Struct

from storelog.migrations.append_batch import OF_THIS_RELEASE, append_batch
from storelog.shop.event_kinds import EntityKind
from storelog.shop.events import CUSTOMER, ENTITIES, ORDER, PRODUCT
from storelog.shop.kinds import Computed, Id, Lines, Name, Price, Stock, When, YesNo


class Part(Struct, frozen=True):
    """A line of a gadget."""

    part_id: Id
    name: Name


class Gadget(Struct, frozen=True):
    """A throw-away entity with a field of each kind of column."""

    gadget_id: Id
    name: Name
    price: Price
    stock: Stock
    made_at: When
    is_new: YesNo
    has_stock: Computed[YesNo]


class Kit(Struct, frozen=True):
    """A throw-away entity with lines."""

    kit_id: Id
    parts: Annotated[tuple[Part, ...], Lines(1)]


GADGET = EntityKind("gadget", Gadget, "gadgets", None, None)
KIT = EntityKind("kit", Kit, "kits", None, None)


def test_the_same_declarations_make_the_same_function_and_others_another() -> None:
    assert append_batch(ENTITIES) == OF_THIS_RELEASE
    names = {append_batch(some).name for some in (ENTITIES, (CUSTOMER, PRODUCT), (ORDER,))}
    assert len(names) == 3
    assert all(len(name) == len("append_batch_") + 8 for name in names)


def test_a_declared_field_is_a_column_that_is_inserted_and_updated_unless_it_is_computed() -> None:
    sql = " ".join(append_batch((GADGET,)).sql.split())
    shape = append_batch((GADGET,)).name.removeprefix("append_batch_")
    assert (
        f"CREATE TYPE gadgets_row_{shape} AS ( gadget_id bigint, name text, price numeric,"
        " stock integer, made_at timestamptz, is_new boolean, version integer,"
        " is_deleted boolean );"
    ) in sql
    assert (
        "INSERT INTO gadgets (gadget_id, name, price, stock, made_at, is_new, version, is_deleted)"
        " SELECT * FROM unnest(new_gadgets);"
    ) in sql
    assert (
        "UPDATE gadgets t SET name = n.name, price = n.price, stock = n.stock,"
        " made_at = CASE n.made_at WHEN '-infinity' THEN timestamptz '0001-01-01T00:00:00Z'"
        " ELSE n.made_at END, is_new = n.is_new, version = n.version, is_deleted = n.is_deleted"
        " FROM unnest(changed_gadgets) n WHERE t.gadget_id = n.gadget_id;"
    ) in sql
    assert "has_stock" not in sql


def test_lines_are_inserted_after_what_they_are_of_and_never_updated() -> None:
    sql = " ".join(append_batch((KIT,)).sql.split())
    assert "INSERT INTO order_items (part_id, kit_id, name)" in sql
    assert sql.index("INSERT INTO kits") < sql.index("INSERT INTO order_items")
    assert "UPDATE order_items" not in sql
