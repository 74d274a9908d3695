"""A page reads about a page, however many sales a product has and whatever is filtered out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
from storelog.query_service.paging import by_id
from storelog.query_service.paging.keyset import PageKey
from storelog.query_service.paging.page import Page
from storelog.query_service.past.documents import PastView
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import View
from storelog.read_models.listed import BY_COLLECTION
from storelog.read_models.orders import finding
from storelog.read_models.product_sold import query as sales
from storelog.read_side import database_name
from storelog.shop import events
from storelog.words import asked_words, heads_of
from support.embedded import EmbeddedServers, new_settings

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCT, CUSTOMER, LINES, ORDERS, LIMIT = 1, 7, 250, 8, 20
Read = Callable[[View, PageKey | None], Awaitable[Page]]
PLACE = Place(500, oldest_order=BEGIN, newest_order=BEGIN + timedelta(minutes=ORDERS))


class _Returned(CommandListener):
    """Counts the documents that the server returns."""

    def __init__(self) -> None:
        self.documents = 0
        self.filters: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.filters.append(dict(event.command["filter"]))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        cursor = event.reply.get("cursor", {})
        self.documents += len(cursor.get("firstBatch", ())) + len(cursor.get("nextBatch", ()))

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.fixture(scope="module")
def shop_of_one_product(servers: EmbeddedServers) -> Settings:
    """A few orders with hundreds of lines of one product each; all but one are deleted."""
    settings = new_settings(servers)
    ensure_indexes(settings)
    sold: list[dict[str, Any]] = []
    placed: list[dict[str, Any]] = []
    for order in range(1, ORDERS + 1):
        at, is_deleted = BEGIN + timedelta(minutes=order), order != ORDERS // 2
        items = [Int64(order * LINES + line) for line in range(LINES)]
        mark = {"cancelled": True, "cancelPosition": Int64(1_000)} if is_deleted else {}
        sold += [
            {
                "_id": item,
                "productId": Int64(PRODUCT),
                "orderId": Int64(order),
                "customerId": Int64(CUSTOMER),
                "soldAt": at,
                "position": Int64(order),
                **mark,
            }
            for item in items
        ]
        placed.append(
            {
                "_id": Int64(order),
                "order_id": Int64(order),
                "orderDate": at,
                "customerId": Int64(CUSTOMER),
                "customer": DBRef("customers", Int64(CUSTOMER)),
                "orderItems": [
                    {"itemId": item, "productId": Int64(PRODUCT), "productName": "Lamp"}
                    for item in items
                ],
                "totalPrice": Decimal128("0.00"),
                "deleted": is_deleted,
                "position": Int64(1_000 if is_deleted else order),
                "created": {"position": Int64(order)},
                "version": 2 if is_deleted else 1,
            }
        )
    with MongoClient[dict[str, Any]](settings.mongodb_uri) as client:
        database = client[database_name(settings)]
        for name in ("orders", "product_sold"):
            if name in database.list_collection_names():
                database.command("collMod", name, validator={})
        database["orders"].insert_many(placed)
        database["product_sold"].insert_many(sold)
    return settings


@asynccontextmanager
async def opened(
    settings: Settings, kind: type[View], place: Place = PLACE
) -> AsyncIterator[tuple[View, _Returned]]:
    returned = _Returned()
    async with AsyncMongoClient[dict[str, Any]](
        settings.mongodb_uri, event_listeners=[returned], tz_aware=True
    ) as client:
        yield kind(client[database_name(settings)], place), returned


def _sales(view: View, after: PageKey | None, *, is_cancelled: bool) -> Awaitable[Page]:
    match = {"productId": PRODUCT}
    return sales.find_sales(sales.Search(view, match, Range(), is_cancelled), after, LIMIT)


def _both(view: View, after: PageKey | None, *, is_cancelled: bool) -> Awaitable[Page]:
    match = {"productId": PRODUCT, "customerId": CUSTOMER}
    return sales.find_sales(sales.Search(view, match, Range(), is_cancelled), after, LIMIT)


BOTH = {"customerId": CUSTOMER, finding.ITS_PRODUCT: PRODUCT}
# What is read, how many items its page has now, and how many it had before the deletions.
LISTS: dict[str, tuple[Read, int, int]] = {
    "a product's orders": (
        lambda v, a: finding.find_orders(v, {finding.ITS_PRODUCT: PRODUCT}, Range(), a, LIMIT),
        1,
        ORDERS,
    ),
    "a customer's orders": (
        lambda v, a: finding.find_orders(v, {"customerId": CUSTOMER}, Range(), a, LIMIT), 1, ORDERS,
    ),
    "a customer's orders of a product": (
        lambda v, a: finding.find_orders(v, BOTH, Range(), a, LIMIT), 1, ORDERS,
    ),
    "all orders": (lambda v, a: finding.find_orders(v, {}, Range(), a, LIMIT), 1, ORDERS),
    "a product's sales": (lambda v, a: _sales(v, a, is_cancelled=False), LIMIT, LIMIT),
    "a product's cancelled sales": (lambda v, a: _sales(v, a, is_cancelled=True), LIMIT, 0),
    "a product's sales to a customer": (lambda v, a: _both(v, a, is_cancelled=False), LIMIT, LIMIT),
    "a product's cancelled sales to one": (lambda v, a: _both(v, a, is_cancelled=True), LIMIT, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_page_reads_no_more_than_a_page_of_a_product_that_was_sold_often(
    shop_of_one_product: Settings, name: str
) -> None:
    read, now, before = LISTS[name]

    async def go(kind: type[View]) -> tuple[int, int]:
        async with opened(shop_of_one_product, kind) as (view, returned):
            page = await read(view, None)
            return len(page.documents), returned.documents

    items, returned = asyncio.run(go(View))
    assert items == now
    assert returned <= 4 * LIMIT, returned
    was, _ = asyncio.run(go(PastView))
    assert was == before


@pytest.mark.parametrize("name", [name for name, (_, items, _) in LISTS.items() if items == LIMIT])
def test_a_second_page_asks_for_no_range_of_ids_beside_a_time(
    shop_of_one_product: Settings, name: str
) -> None:
    # The embedded server would read half of the collection for it: 500,000 orders take a minute.
    read, _, _ = LISTS[name]

    async def go() -> list[list[Any]]:
        pages: list[list[Any]] = []
        async with opened(shop_of_one_product, View) as (view, returned):
            after = None
            for _ in range(3):
                page = await read(view, after)
                pages.append([sale["_id"] for sale in page.documents])
                after = page.next_key
            for asked in returned.filters:
                assert "$or" not in asked, asked
                assert "$in" in (only := asked.get("_id", {"$in": []})), only
        return pages

    pages = asyncio.run(go())
    ids = [number for page in pages for number in page]
    assert len(ids) == 3 * LIMIT
    assert ids == sorted(set(ids), reverse=True)


@pytest.mark.parametrize(("asked", "items"), [("z", 3), ("zz", 3), ("5", 3), ("q", 0), ("l", 21)])
def test_a_short_word_reads_no_more_than_a_page(settings: Settings, asked: str, items: int) -> None:
    rare = {1_999: "Zz lamp", 2_000: "Lamp zz 5", 3_999: "5 zzz", 3_998: "Lamp 50"}
    names = {number: rare.get(number, "Lamp large") for number in range(1, 4_001)}
    made = {"position": Int64(1), "version": 1, "deleted": False, "created": {"position": 1}}
    with MongoClient[dict[str, Any]](settings.mongodb_uri) as client:
        database = client[database_name(settings)]
        if "products" in database.list_collection_names():
            database.command("collMod", "products", validator={})
        database.products.insert_many(
            [{"_id": Int64(n), "name": name, **made} for n, name in names.items()]
        )
        database.product_names.insert_many(
            [{"_id": Int64(n), "words": heads_of(name)} for n, name in names.items()]
        )
    wanted = by_id.WantedEntities(events.PRODUCT, {}, asked_words(asked), {}, is_down=False)

    async def go() -> tuple[int, int]:
        place = Place(500, highest_product=4_000)
        async with opened(settings, View, place) as (view, returned):
            page = await by_id.page(view, wanted, None, LIMIT + 1)
            return len(page.documents), returned.documents

    found, returned = asyncio.run(go())
    assert found == items
    assert returned <= 4 * LIMIT, returned


def test_indexes_of_earlier_versions_are_dropped(settings: Settings) -> None:
    with MongoClient[dict[str, Any]](settings.mongodb_uri) as client:
        database = client[database_name(settings)]
        database["orders"].create_index([("orderDate", 1), ("_id", 1)])
        ensure_indexes(settings)
        made = database["orders"].index_information()
    keys = [index["key"] for index in made.values()]
    assert sorted(keys) == sorted([[("_id", 1)], *BY_COLLECTION["orders"].indexes])
