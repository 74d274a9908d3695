"""Names that a process knows: read once, and never older than the view that shows them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from storelog.query_service.positions import names as known_names
from storelog.query_service.positions.names import KnownNames
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import View

Document = dict[str, Any]
CUSTOMERS = range(1, 6)


@dataclass
class Shop:
    """Customers as MongoDB has them; `asked` counts the finds of names and of changes."""

    name: str = "storelog"
    position: int = 0
    letters: int = 0
    history: str | None = "h"
    repaired: int = 0
    names: dict[int, str] = field(default_factory=lambda: dict.fromkeys(CUSTOMERS, "Ann"))
    changed: dict[int, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    def __getitem__(self, collection: str) -> "Collection":
        return Collection(self, collection)

    def rename(self, number: int, name: str) -> None:
        self.position += 1
        self.names[number], self.changed[number] = name, self.position

    def view(self, known: KnownNames | None) -> View:
        place = Place(self.position, self.letters, repaired=self.repaired, history=self.history)
        return View(self, place, known)  # type: ignore[arg-type]


@dataclass
class Collection:
    shop: Shop
    name: str

    def find(self, query: Mapping[str, Any], _fields: object = None) -> "Found":
        self.shop.asked.append(self.name)
        if self.name == "customers":
            return Found(
                self.shop,
                [{"_id": each, "name": self.shop.names[each]} for each in query["_id"]["$in"]],
            )
        newer = query["position"]["$gt"]
        return Found(
            self.shop, [{"_id": each} for each, at in self.shop.changed.items() if at > newer]
        )


@dataclass
class Found:
    shop: Shop
    documents: list[Document]

    def limit(self, most: int) -> "Found":
        return Found(self.shop, self.documents[:most])

    async def to_list(self) -> list[Document]:
        return self.documents

    async def __aiter__(self) -> AsyncIterator[Document]:
        if self.shop.gate is not None:
            await self.shop.gate.wait()
        for document in self.documents:
            yield document


def names(shop: Shop, known: KnownNames | None, *ids: int) -> dict[int, str]:
    return asyncio.run(shop.view(known).names("customers", ids))


def test_names_are_read_once_and_what_is_at_the_same_position_is_not_asked_for_again() -> None:
    shop, known = Shop(), KnownNames()
    for _ in range(3):
        assert names(shop, known, 1, 2) == {1: "Ann", 2: "Ann"}
    assert shop.asked == ["customers"]
    shop.position += 1
    assert names(shop, known, 1, 3) == {1: "Ann", 3: "Ann"}
    assert shop.asked == ["customers", "customer_names", "customers"]


def test_a_customer_that_was_renamed_is_read_again_and_no_other() -> None:
    shop, known = Shop(), KnownNames()
    names(shop, known, 1, 2)
    shop.rename(2, "Bea")
    shop.asked.clear()
    assert names(shop, known, 1, 2) == {1: "Ann", 2: "Bea"}
    assert shop.asked == ["customer_names", "customers"]


def test_a_name_that_was_on_its_way_while_its_customer_was_renamed_is_not_kept() -> None:
    async def play() -> dict[int, str]:
        shop, known = Shop(gate=asyncio.Event()), KnownNames()
        assert shop.gate is not None
        slow = asyncio.create_task(shop.view(known).names("customers", [1]))
        await asyncio.sleep(0)
        shop.rename(1, "Bea")
        other = asyncio.create_task(shop.view(known).names("customers", [2]))
        await asyncio.sleep(0)
        shop.gate.set()
        assert await slow == {1: "Ann"}
        await other
        return await shop.view(known).names("customers", [1])

    assert asyncio.run(play()) == {1: "Bea"}


def test_nothing_is_known_where_a_dead_letter_waits_or_the_history_is_not_known() -> None:
    for shop in (Shop(letters=1), Shop(history=None)):
        known = KnownNames()
        for _ in range(2):
            names(shop, known, 1)
        assert shop.asked == ["customers", "customers"]


def test_what_another_read_model_another_history_or_a_repair_says_is_read_anew() -> None:
    known = KnownNames()
    for name, change in {
        "Bea": {"name": "storelog_r2"},
        "Cid": {"name": "storelog_r2", "history": "i"},
        "Dan": {"name": "storelog_r2", "history": "i", "repaired": 1},
    }.items():
        names(Shop(), known, 1)
        shop = Shop(**change, names={1: name})  # type: ignore[arg-type]
        assert names(shop, known, 1) == {1: name}


def test_a_name_of_an_older_copy_of_mongodb_is_not_kept_beyond_the_renamings_that_it_lacks() -> (
    None
):
    shop, known = Shop(position=10), KnownNames()
    names(shop, known, 1)
    # The copy lacks the renaming of customer 2, which the projector writes again.
    shop.position = 5
    assert names(shop, known, 2) == {2: "Ann"}
    shop.rename(2, "Bea")
    shop.position = 11
    assert names(shop, known, 1, 2) == {1: "Ann", 2: "Bea"}


def test_many_names_are_forgotten_at_once_and_never_more_are_kept_than_there_is_room_for(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(known_names, "MAX_CHANGED", 2)
    monkeypatch.setattr(known_names, "MAX_NAMES", 4)
    shop, known = Shop(), KnownNames()
    names(shop, known, 1, 2, 3, 4)
    names(shop, known, 5)
    assert len(known._names) == 1
    names(shop, known, 1, 2, 3)
    for each in CUSTOMERS:
        shop.rename(each, "Bea")
    assert names(shop, known, *CUSTOMERS) == dict.fromkeys(CUSTOMERS, "Bea")


@given(some.lists(some.one_of(some.sampled_from(CUSTOMERS), some.just("read")), max_size=40))
def test_names_are_those_of_now_whatever_was_read_and_renamed_before(steps: list[Any]) -> None:
    shop, known = Shop(), KnownNames()
    for number, step in enumerate(steps):
        if step == "read":
            wanted = [*CUSTOMERS][number % 3 :]
            assert names(shop, known, *wanted) == {each: shop.names[each] for each in wanted}
        else:
            shop.rename(step, f"name {number}")
