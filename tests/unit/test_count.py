"""Counting: exact up to its bound, at least so many beyond it, and never longer than its time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storelog.query_service.http.parameters import Range
from storelog.query_service.paging import page
from storelog.query_service.paging.keyset import PageKey
from storelog.query_service.paging.page import COUNT_CHUNK, MAX_COUNTED, Page, count
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import Document, View
from storelog.read_models.orders import finding

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


class Listed:
    """A list of so many items, whose pages may be shorter than they might be, or slow."""

    def __init__(self, items: int, page: int = COUNT_CHUNK, seconds: float = 0) -> None:
        self.items, self.page, self.seconds, self.asked = items, page, seconds, 0

    async def find(self, after: PageKey | None, limit: int) -> Page:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        start = after[0] if after else 0
        end = min(start + min(limit, self.page), self.items)
        return Page([{}] * (end - start), [end] if end < self.items else None)


@pytest.mark.parametrize("page", [COUNT_CHUNK, 499, 333])
@pytest.mark.parametrize(
    "items", [0, 1, COUNT_CHUNK, COUNT_CHUNK + 1, MAX_COUNTED - 1, MAX_COUNTED]
)
def test_what_is_within_the_bound_is_counted_exactly(items: int, page: int) -> None:
    counted = asyncio.run(count(Listed(items, page).find))
    assert counted == {"count": items, "countIsExact": True}


@pytest.mark.parametrize("page", [COUNT_CHUNK, 499, 333])
@pytest.mark.parametrize("more", [1, 100, COUNT_CHUNK, 1_000_000])
def test_what_is_beyond_the_bound_is_at_least_so_many(more: int, page: int) -> None:
    listed = Listed(MAX_COUNTED + more, page)
    assert asyncio.run(count(listed.find)) == {"count": MAX_COUNTED, "countIsExact": False}
    assert listed.asked == -(-MAX_COUNTED // page)


def test_when_the_time_is_over_it_is_at_least_what_was_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "COUNT_SECONDS", 0.3)
    listed = Listed(MAX_COUNTED, seconds=0.1)
    counted = asyncio.run(count(listed.find))
    assert 1 <= listed.asked <= 4
    assert counted == {"count": COUNT_CHUNK * listed.asked, "countIsExact": False}


class Orders:
    """A collection of orders that keeps what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def find(self, query: Document, fields: Any = None, **_: Any) -> "Orders":
        self.asked.append(fields)
        return self

    def __getitem__(self, _: str) -> "Orders":
        return self

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass

    def __aiter__(self) -> "Orders":
        return self

    async def __anext__(self) -> Document:
        raise StopAsyncIteration


@pytest.mark.parametrize("is_counting", [False, True])
def test_orders_are_counted_without_their_items(is_counting: bool) -> None:
    orders = Orders()
    place = Place(oldest_order=FIRST, newest_order=FIRST + timedelta(days=1))
    view = View(orders, place)  # type: ignore[arg-type]
    asyncio.run(finding.find_orders(view, {}, Range(None, None), None, 5, is_counting=is_counting))
    # Milestones are times alone, for whatever page.
    asked = [fields for fields in orders.asked if fields != {"orderDate": 1}]
    assert asked
    assert all((fields is None) != is_counting for fields in asked)
    assert not is_counting or all("orderItems" not in fields for fields in asked)
