"""Where a page ended is remembered: it takes one window then, and shows what it would show."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pymongo.errors import NetworkTimeout

from storelog.query_service.http.parameters import Range
from storelog.query_service.paging.by_time import walk
from storelog.query_service.paging.ends import Ends
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import View
from storelog.read_models.orders.finding import ORDERS, find_orders
from support.finds import Found

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 10
Document = dict[str, Any]


@dataclass
class Shop:
    """Orders in MongoDB, and each find: how many documents it had, and how many came at once."""

    name: str = "storelog"
    position: int = 1
    orders: dict[int, Document] = field(default_factory=dict)
    finds: list[tuple[int, int]] = field(default_factory=list)
    most_in_time: int | None = None

    def place_order(self, at: datetime, lines: int = 1) -> None:
        self.position += 1
        number = len(self.orders) + 1
        items = [{"productId": 1, "productName": "Lamp" * 20}] * lines
        self.orders[number] = {
            "_id": number, "orderDate": at, "deleted": False, "orderItems": items,
        }  # fmt: skip

    def delete(self, number: int) -> None:
        self.position += 1
        self.orders[number]["deleted"] = True

    def __getitem__(self, _: str) -> "Shop":
        return self

    def find(
        self, query: Mapping[str, Any], _fields: Any = None, sort: Any = None, batch_size: int = 0
    ) -> "Found":
        if "_id" in query:
            return Found([self.orders[n] for n in query["_id"]["$in"] if n in self.orders])
        window = query["orderDate"]
        found = [
            each
            for each in self.orders.values()
            if not each["deleted"] and window["$gte"] <= each["orderDate"] < window["$lt"]
        ]
        self.finds.append((len(found), batch_size))
        if self.most_in_time is not None and len(found) > self.most_in_time:
            raise NetworkTimeout("the window was too large")
        found.sort(key=lambda each: (each["orderDate"], each["_id"]), reverse=sort[0][1] < 0)
        return Found(found)

    def page(
        self, ends: Ends | None, after: list[int] | None = None, limit: int = LIMIT
    ) -> list[int]:
        """Return the ids of a page, newest first."""
        self.finds.clear()
        dates = [each["orderDate"] for each in self.orders.values()]
        place = Place(self.position, oldest_order=min(dates), newest_order=max(dates))
        view = View(self, place, None, ends)  # type: ignore[arg-type]
        found = asyncio.run(find_orders(view, {}, Range(), after, limit))
        return [each["_id"] for each in found.documents]


def shop_of(orders: int, pace: timedelta, lines: int = 1) -> Shop:
    shop = Shop()
    for number in range(orders):
        shop.place_order(BEGIN + number * pace, lines)
    return shop


def test_the_page_that_was_found_in_many_windows_is_found_again_in_one_that_comes_at_once() -> None:
    shop, ends = shop_of(100, timedelta(minutes=1)), Ends()
    first = shop.page(ends)
    assert len(shop.finds) > 2
    assert shop.page(ends) == first
    assert shop.finds == [(LIMIT + 1, LIMIT + 1)]


def test_a_burst_since_then_is_not_read_by_the_window_of_the_quiet_time_before() -> None:
    shop, ends = shop_of(100, timedelta(minutes=1)), Ends()
    shop.page(ends)
    last = max(each["orderDate"] for each in shop.orders.values())
    for number in range(1, 1_001):
        shop.place_order(last + number * timedelta(milliseconds=1))
    assert shop.page(ends) == [*range(1_100, 1_090, -1)]
    assert sum(read for read, _ in shop.finds) < 100


def test_large_documents_never_come_all_at_once() -> None:
    for lines, at_once in ((1, 51), (20, 32)):
        shop, ends = shop_of(100, timedelta(minutes=1), lines), Ends()
        for _ in range(2):
            shop.page(ends, limit=50)
        assert shop.finds == [(51, at_once)]


def test_a_window_that_could_not_be_read_is_not_tried_again() -> None:
    shop, ends = shop_of(100, timedelta(minutes=1)), Ends()
    first = shop.page(ends)
    shop.most_in_time = LIMIT
    with pytest.raises(NetworkTimeout):
        shop.page(ends)
    assert shop.page(ends) == first


def test_a_reading_that_was_ended_early_does_not_let_large_documents_come_all_at_once() -> None:
    shop, ends = shop_of(51, timedelta(minutes=1), lines=20), Ends()

    async def read_some() -> None:
        place = Place(shop.position, oldest_order=BEGIN, newest_order=BEGIN + timedelta(days=1))
        view = View(shop, place, None, ends)  # type: ignore[arg-type]
        found = walk(view, ORDERS, {}, Range(), 51)
        assert found is not None
        async with aclosing(found.documents(None)) as documents:
            await anext(documents)

    asyncio.run(read_some())
    shop.page(ends, limit=50)
    assert {at_once for _, at_once in shop.finds} == {32}


@given(
    some.lists(
        some.one_of(
            some.integers(0, 100_000),
            some.sampled_from(["page", "next", "delete"]),
        ),
        max_size=60,
    )
)
def test_no_page_depends_on_what_is_remembered(steps: list[Any]) -> None:
    shop, ends = shop_of(30, timedelta(seconds=20)), Ends()
    for step in steps:
        if isinstance(step, int):
            shop.place_order(BEGIN + timedelta(milliseconds=step))
        elif step == "delete":
            alive = [each["_id"] for each in shop.orders.values() if not each["deleted"]]
            shop.delete(alive[-1])
            if len(alive) < 5:
                return
        else:
            at = int(1_000 * (BEGIN + timedelta(seconds=50)).timestamp())
            after = [at, 7] if step == "next" else None
            assert shop.page(ends, after) == shop.page(None, after)
