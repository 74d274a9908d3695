"""Commands are decided on which entity has a value that must be unique, also within one batch."""

import asyncio
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from msgspec import UNSET, UnsetType

from storelog.command_service import decisions
from storelog.command_service.state import MAX_KEPT, Head, State
from storelog.command_service.state_reader import load_for
from storelog.errors import Conflict
from storelog.shop.commands import Command
from storelog.shop.events import PRODUCT
from storelog.shop.kinds import Money, Time
from storelog.shop.product import (
    AdjustStock,
    ChangedProduct,
    CreateProduct,
    DeleteProduct,
    NewProduct,
    StockAdjustment,
    UpdateProduct,
)

NOW = Time.of(datetime(2026, 1, 1, tzinfo=UTC))
PRICE = Money(1)
# What is not named is null.
ROW: dict[str, Any] = {
    "name": "Lamp",
    "price": PRICE,
    "stock": 1,
    "stock_status": True,
    "version": 1,
    "is_deleted": False,
}


class Table:
    """Stands for a connection to a table of products: their skus by id."""

    def __init__(self, skus: dict[int, str]) -> None:
        self.skus = skus
        self.asked: list[list[str]] = []

    async def fetch(self, statement: str, given: list[Any]) -> list[Any]:
        if statement.startswith("SELECT sku, product_id"):
            assert statement.endswith("FROM products WHERE sku = ANY ($1) AND NOT is_deleted")
            self.asked.append(sorted(given))
            return [(sku, number) for number, sku in self.skus.items() if sku in given]
        found = re.match(r"SELECT (.+) FROM products ", statement)
        assert found is not None
        return [self._row(n, found[1].split(", ")) for n in given if n in self.skus]

    def _row(self, number: int, columns: list[str]) -> tuple[Any, ...]:
        row = ROW | {"product_id": number, "sku": self.skus[number]}
        return tuple(row.get(column) for column in columns)


class Shop:
    """Decides commands in batches, on one state that goes on from batch to batch."""

    def __init__(self, **skus: int) -> None:
        self.table = Table({number: sku for sku, number in skus.items()})
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
            assert conflict.detail == "Another product has this sku."
            return conflict.slug
        return None


def create(sku: str | None) -> CreateProduct:
    return CreateProduct(0, NewProduct("Lamp", PRICE, 1, sku))


def rename(number: int, sku: str | UnsetType | None) -> UpdateProduct:
    return UpdateProduct(number, ChangedProduct("Lamp", PRICE, sku=sku))


def test_a_value_that_another_entity_has_is_a_conflict_with_the_slug_of_its_field() -> None:
    shop = Shop(A=1, B=2)
    assert shop.batch(create("A"), create("C"), rename(1, "B"), rename(2, "D")) == [
        "sku-taken",
        None,
        "sku-taken",
        None,
    ]


def test_of_two_commands_in_one_batch_the_second_meets_what_the_first_has_taken() -> None:
    assert Shop().batch(create("A"), create("A"), create("B")) == [None, "sku-taken", None]


def test_a_value_is_free_once_its_entity_is_deleted_or_has_another() -> None:
    shop = Shop(A=1, B=2)
    assert shop.batch(DeleteProduct(1), create("A"), rename(2, "C"), create("B")) == [None] * 4
    assert shop.batch(create("A"), create("B"), create("C")) == ["sku-taken"] * 3


def test_an_entity_keeps_its_own_value_whatever_else_changes() -> None:
    shop = Shop(A=1)
    adjust = AdjustStock(1, StockAdjustment(5, "count"))
    assert shop.batch(rename(1, "A"), adjust, rename(1, "A"), create("A")) == [
        None,
        None,
        None,
        "sku-taken",
    ]


def test_a_rejected_command_takes_nothing() -> None:
    shop = Shop(A=1, B=2)
    assert shop.batch(rename(1, "B"), create("A")) == ["sku-taken", "sku-taken"]


def test_what_is_known_is_kept_from_batch_to_batch_and_not_read_again() -> None:
    shop = Shop(A=1)
    assert shop.batch(create("A"), create("B")) == ["sku-taken", None]
    after = shop.state.after(Head(2))
    assert after is not None
    shop.state = after
    # The table does not have what is not written yet.
    assert shop.batch(create("B"), create("C")) == ["sku-taken", None]
    assert shop.table.asked == [["A", "B"], ["C"]]


def test_a_state_that_knows_too_many_values_is_read_anew() -> None:
    state = State(Head())
    state.holders.of(PRODUCT, "sku").update(dict.fromkeys(map(str, range(MAX_KEPT + 1))))
    assert state.after(Head(1)) is None


def test_any_number_of_entities_may_have_none() -> None:
    shop = Shop(A=1)
    assert shop.batch(create(None), create(None), rename(1, None), create("A")) == [None] * 4


def test_a_value_that_is_not_said_stays() -> None:
    shop = Shop(A=1)
    assert shop.batch(rename(1, UNSET), create("A")) == [None, "sku-taken"]
