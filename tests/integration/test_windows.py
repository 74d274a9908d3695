"""A page by time reads about a page, though orders come in bursts with gaps of days between."""

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import AsyncMongoClient, MongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from storelog.config import Settings
from storelog.projector.databases.connection import ensure_indexes
from storelog.query_service.http.parameters import Range
from storelog.query_service.paging.keyset import PageKey
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import View
from storelog.read_models.orders import finding
from storelog.read_side import NUMBERED, database_name

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT, BUSY, DAYS = 50, 120, 30
SEED = 20261125


class _Windows(CommandListener):
    """Notes the windows that were asked for; one server reads each of them whole."""

    def __init__(self) -> None:
        self.asked: list[tuple[datetime, datetime]] = []

    def started(self, event: CommandStartedEvent) -> None:
        at = event.command.get("filter", {}).get("orderDate")
        if isinstance(at, dict):
            self.asked.append((at["$gte"], at["$lt"]))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def _working_days() -> list[datetime]:
    """Return when orders come: some hours full, nights and ends of weeks empty."""
    dice = random.Random(SEED)
    moments = []
    for day in (day for day in range(DAYS) if day % 7 < 5):
        for _ in range(BUSY):
            seconds = dice.randrange(9 * 3600, 17 * 3600)
            moments.append(BEGIN + timedelta(days=day, seconds=seconds))
    return moments


def _fill(
    settings: Settings, moments: list[datetime], customers_of: Mapping[int, int] | None = None
) -> list[tuple[datetime, int]]:
    """Insert an order at each moment, and delete each tenth; return the others.

    `customers_of`: whose order it is, by its id, where it is given.
    """
    buyers = {i: 1 + i % 40 for i in range(1, len(moments) + 1)} | dict(customers_of or {})
    ensure_indexes(settings)
    documents: list[dict[str, Any]] = [
        {
            "_id": Int64(i),
            "order_id": Int64(i),
            "orderDate": at,
            "customerId": Int64(buyers[i]),
            "customer": DBRef("customers", Int64(buyers[i])),
            "orderItems": [],
            "totalPrice": Decimal128("0.00"),
            "deleted": i % 10 == 0,
            "position": Int64(i),
        }
        for i, at in enumerate(moments, 1)
    ]
    with MongoClient[dict[str, Any]](settings.mongodb_uri) as client:
        client[database_name(settings)]["orders"].insert_many(documents)
    return sorted((at, i) for i, at in enumerate(moments, 1) if i % 10)


async def _walk(
    settings: Settings, there: list[tuple[datetime, int]], *, is_up: bool, limit: int = LIMIT
) -> list[int]:
    """Return the ids of all pages; each page reads little more than itself."""
    windows = _Windows()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.mongodb_uri, event_listeners=[windows], tz_aware=True
    )
    place = Place(oldest_order=there[0][0], newest_order=there[-1][0])
    view = View(client[database_name(settings)], place)
    found: list[int] = []
    after: PageKey | None = None
    pages = 0
    while pages == 0 or after is not None:
        page = await finding.find_orders(view, {}, Range(), after, limit, is_up=is_up)
        found += [order["_id"] for order in page.documents]
        after, pages = page.next_key, pages + 1
    await client.close()
    read = sum(low <= at < high for low, high in windows.asked for at, _ in there)
    assert read / pages < 2.2 * limit, (read, pages)
    assert len(windows.asked) / pages < 10, (len(windows.asked), pages)
    return found


def test_a_page_by_time_reads_about_a_page_over_bursts_and_gaps(settings: Settings) -> None:
    there = _fill(settings, _working_days())
    up = asyncio.run(_walk(settings, there, is_up=True))
    assert up == [i for _, i in there]
    down = asyncio.run(_walk(settings, there, is_up=False))
    assert down == [i for _, i in reversed(there)]


def test_a_small_page_of_a_busy_shop_reads_about_a_page(settings: Settings) -> None:
    """500 orders a second, ten to a page: what comes first must not be a whole second."""
    there = _fill(settings, [BEGIN + n * timedelta(milliseconds=2) for n in range(2_000)])
    down = asyncio.run(_walk(settings, there, is_up=False, limit=10))
    assert down == [i for _, i in reversed(there)]


def test_the_first_page_of_a_quiet_shop_takes_few_finds(settings: Settings) -> None:
    """One order an hour: the newest stands alone in the first window, and says nothing yet."""
    _fill(settings, [BEGIN + n * timedelta(hours=1) for n in range(200)])
    place = Place(oldest_order=BEGIN, newest_order=BEGIN + timedelta(hours=199))
    windows = _Windows()

    async def first_page() -> int:
        async with AsyncMongoClient[dict[str, Any]](
            settings.mongodb_uri, event_listeners=[windows], tz_aware=True
        ) as client:
            view = View(client[database_name(settings)], place)
            page = await finding.find_orders(view, {}, Range(), None, LIMIT)
            return len(page.documents)

    assert asyncio.run(first_page()) == LIMIT
    assert len(windows.asked) <= 8, windows.asked


@pytest.mark.parametrize("is_up", [False, True])
@pytest.mark.parametrize("hours", [0, 1])
def test_a_page_of_who_bought_much_until_a_while_ago_reads_about_a_page(
    settings: Settings, is_up: bool, hours: int
) -> None:
    """A burst of 500 orders a second, and a few of another customer at some distance from it.

    The windows over the distance may not hold the burst; `hours` ask for a range, which begins
    where no order is.
    """
    burst, others = 3_000, 5
    near = [timedelta(milliseconds=2 * n) for n in range(burst)]
    far = [near[-1] + timedelta(seconds=3 * n) for n in range(1, others + 1)]
    ages = near + far if not is_up else [far[-1] - age for age in reversed(near + far)]
    last = range(1, others + 1) if is_up else range(burst + 1, burst + others + 1)
    whose = {i: 2 if i in last else 1 for i in range(1, burst + others + 1)}
    there = _fill(settings, [BEGIN + age for age in ages], whose)
    theirs = [i for _, i in sorted(there, reverse=not is_up) if whose[i] == 1]
    windows = _Windows()
    span = (
        Range(BEGIN - timedelta(hours=hours), BEGIN + timedelta(hours=hours)) if hours else Range()
    )

    async def first_pages() -> list[int]:
        async with AsyncMongoClient[dict[str, Any]](
            settings.mongodb_uri, event_listeners=[windows], tz_aware=True
        ) as client:
            place = Place(oldest_order=BEGIN, newest_order=BEGIN + ages[-1])
            view = View(client[database_name(settings)], place)
            one = await finding.find_orders(view, {"customerId": 1}, span, None, LIMIT, is_up=is_up)
            two = await finding.find_orders(
                view, {"customerId": 1}, span, one.next_key, LIMIT, is_up=is_up
            )
            return [order["_id"] for page in (one, two) for order in page.documents]

    assert asyncio.run(first_pages()) == theirs[: 2 * LIMIT]
    read = sum(low <= at < high for low, high in windows.asked for at, i in there if whose[i] == 1)
    assert read < 8 * LIMIT, (read, windows.asked)


def test_the_index_that_a_range_of_customers_stands_on_is_made(settings: Settings) -> None:
    ensure_indexes(settings)
    with MongoClient[dict[str, Any]](settings.mongodb_uri) as client:
        made = client[database_name(settings)]["customers"].index_information()
    assert [(NUMBERED["customers"], 1)] in [index["key"] for index in made.values()]
