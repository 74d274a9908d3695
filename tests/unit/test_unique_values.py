"""Commands are decided on which entity has a value that must be unique, also within one batch.

Here the names of products are unique, as no release says.
"""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from msgspec import Struct

from storelog.command_service import decisions
from storelog.command_service.state import MAX_KEPT, Head, State
from storelog.command_service.state_reader import load_for
from storelog.errors import Conflict
from storelog.shop import unique
from storelog.shop.commands import Command
from storelog.shop.events import EVENTS, PRODUCT
from storelog.shop.fields import Field, field_of
from storelog.shop.kinds import Money, Time, Unique
from storelog.shop.product import (
    AdjustStock,
    ChangedProduct,
    CreateProduct,
    DeleteProduct,
    NewProduct,
    Product,
    ProductCreated,
    ProductDeleted,
    ProductUpdated,
    StockAdjustment,
    UpdateProduct,
)

NOW = Time.of(datetime(2026, 1, 1, tzinfo=UTC))
PRICE = Money(1)
NAMED = (Product, NewProduct, ChangedProduct, ProductCreated, ProductUpdated, ProductDeleted)


@pytest.fixture(autouse=True)
def _names_are_unique(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(structure: type[Struct]) -> tuple[Field, ...]:
        if structure not in NAMED:
            return ()
        return (replace(field_of(structure, "name"), marks=(Unique("name-taken"),)),)

    monkeypatch.setattr(unique, "unique_fields_of", of)
    for kind in EVENTS:
        monkeypatch.setitem(kind.__dict__, "unique", of(kind.payload))


class Table:
    """Stands for a connection to a table of products: their names by id."""

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.asked: list[list[str]] = []

    async def fetch(self, statement: str, given: list[Any]) -> list[Any]:
        if statement.startswith("SELECT name, product_id"):
            assert statement.endswith("FROM products WHERE name = ANY ($1) AND NOT is_deleted")
            self.asked.append(sorted(given))
            return [(name, number) for number, name in self.names.items() if name in given]
        rows = [number for number in given if number in self.names]
        return [(n, self.names[n], PRICE, 1, True, 1, False) for n in rows]


class Shop:
    """Decides commands in batches, on one state that goes on from batch to batch."""

    def __init__(self, **names: int) -> None:
        self.table = Table({number: name for name, number in names.items()})
        self.state = State(Head())
        self.ids: Iterator[int] = itertools.count(100)

    def batch(self, *commands: Command) -> list[str | None]:
        """Return of each command of a batch the slug with which it is rejected."""
        asyncio.run(load_for(cast(Any, self.table), self.state, commands))
        return [self._decide(command) for command in commands]

    def _decide(self, command: Command) -> str | None:
        try:
            decisions.decide(command, self.state, {"product": lambda: next(self.ids)}, NOW)
        except Conflict as conflict:
            assert conflict.detail == "Another product has this name."
            return conflict.slug
        return None


def create(name: str) -> CreateProduct:
    return CreateProduct(0, NewProduct(name, PRICE, 1))


def rename(number: int, name: str) -> UpdateProduct:
    return UpdateProduct(number, ChangedProduct(name, PRICE))


def test_a_value_that_another_entity_has_is_a_conflict_with_the_slug_of_its_field() -> None:
    shop = Shop(A=1, B=2)
    assert shop.batch(create("A"), create("C"), rename(1, "B"), rename(2, "D")) == [
        "name-taken",
        None,
        "name-taken",
        None,
    ]


def test_of_two_commands_in_one_batch_the_second_meets_what_the_first_has_taken() -> None:
    assert Shop().batch(create("A"), create("A"), create("B")) == [None, "name-taken", None]


def test_a_value_is_free_once_its_entity_is_deleted_or_has_another() -> None:
    shop = Shop(A=1, B=2)
    assert shop.batch(DeleteProduct(1), create("A"), rename(2, "C"), create("B")) == [None] * 4
    assert shop.batch(create("A"), create("B"), create("C")) == ["name-taken"] * 3


def test_an_entity_keeps_its_own_value_whatever_else_changes() -> None:
    shop = Shop(A=1)
    adjust = AdjustStock(1, StockAdjustment(5, "count"))
    assert shop.batch(rename(1, "A"), adjust, rename(1, "A"), create("A")) == [
        None,
        None,
        None,
        "name-taken",
    ]


def test_a_rejected_command_takes_nothing() -> None:
    shop = Shop(A=1, B=2)
    assert shop.batch(rename(1, "B"), create("A")) == ["name-taken", "name-taken"]


def test_what_is_known_is_kept_from_batch_to_batch_and_not_read_again() -> None:
    shop = Shop(A=1)
    assert shop.batch(create("A"), create("B")) == ["name-taken", None]
    after = shop.state.after(Head(2))
    assert after is not None
    shop.state = after
    # The table does not have what is not written yet.
    assert shop.batch(create("B"), create("C")) == ["name-taken", None]
    assert shop.table.asked == [["A", "B"], ["C"]]


def test_a_state_that_knows_too_many_values_is_read_anew() -> None:
    state = State(Head())
    state.holders.of(PRODUCT, "name").update(dict.fromkeys(map(str, range(MAX_KEPT + 1))))
    assert state.after(Head(1)) is None
