"""A page takes as many requests and documents with 500,000 sales of a product as with 1,000.

The shop is arithmetic: an order has one sale, half of them are deleted, and the newest few are of
somebody else. What a request costs is what it costs the embedded Python server, which reads all
that a window of an index holds; `make bench` measures the servers.
"""

import asyncio
import itertools
from bisect import bisect_left
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from storelog.query_service.http.parameters import Range
from storelog.query_service.paging.keyset import PageKey
from storelog.query_service.paging.page import Page
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.view import View
from storelog.read_models.orders.finding import ITS_PRODUCT, find_orders
from storelog.read_models.product_sold import query as sales
from support.finds import Found

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FEW, MANY, LATE = 1_000, 500_000, 10
LIMIT = 25
PRODUCT, UNSOLD, CUSTOMER, NOBODY, LATER = 1, 2, 3, 7, 9
# An order with two filters is looked for by both at once: an empty page waits for the narrower one.
MOST_TIMES, MOST_OF_BOTH = 1.5, 1.7
# Of the server and of ours: for a page whatever it is, for a request, for a document.
PAGE_MS, REQUEST_MS, DOCUMENT_MS = 4.0, 1.2, 0.06
Document = dict[str, Any]


@dataclass
class Shop:
    """Orders at a pace, and a few others after them; counts what is asked of it."""

    size: int
    pace: timedelta
    requests: int = 0
    documents: int = 0
    seen: list[int] = field(default_factory=list)

    def at(self, number: int) -> datetime:
        late = max(0, number - self.size)
        return BEGIN + min(number, self.size) * self.pace + late * timedelta(minutes=1)

    def __getitem__(self, name: str) -> "Collection":
        return Collection(self, name)

    def document(self, name: str, number: int) -> Document:
        is_late, is_deleted = number > self.size, number // 2 % 2 == 0
        customer = LATER if is_late else CUSTOMER + number % 2
        product = LATER if is_late else PRODUCT
        common = {"_id": number, "customerId": customer, "position": 1}
        if name == "product_sold":
            sale = {**common, "orderId": number, "productId": product, "soldAt": self.at(number)}
            return {**sale, "cancelled": True} if is_deleted else sale
        items = [{"itemId": number, "productId": product, "productName": "Lamp"}]
        placed = {"orderDate": self.at(number), "orderItems": items, "deleted": is_deleted}
        return {**common, **placed, "created": {"position": 1}, "version": 1}

    @property
    def cost(self) -> float:
        return PAGE_MS + REQUEST_MS * self.requests + DOCUMENT_MS * self.documents


@dataclass
class Collection:
    """Serves the finds of lists: by ids, or by equalities and a range of times."""

    shop: Shop
    name: str

    def find(
        self, query: Mapping[str, Any], fields: Any = None, sort: Any = None, batch_size: int = 0
    ) -> "Found":
        self.shop.requests += 1
        if "_id" in query:
            found = [self.shop.document(self.name, number) for number in query["_id"]["$in"]]
        else:
            found = self._in_window(query)
        self.shop.documents += len(found)
        assert len(found) <= 2_000, f"{query} holds too much"
        return Found(found[::-1] if sort and sort[0][1] < 0 else found)

    def _in_window(self, query: Mapping[str, Any]) -> list[Document]:
        [(time, window)] = [(k, v) for k, v in query.items() if isinstance(v, dict)]
        numbers = range(1, self.shop.size + LATE + 1)
        low, high = (bisect_left(numbers, window[end], key=self.shop.at) for end in ("$gte", "$lt"))
        equal = {name: value for name, value in query.items() if name != time}
        if equal.get(ITS_PRODUCT, equal.get("productId")) == UNSOLD or NOBODY in equal.values():
            return []
        documents = (self.shop.document(self.name, number) for number in numbers[low:high])
        return [each for each in documents if _is_equal(each, equal)]


def _is_equal(document: Document, equal: Mapping[str, Any]) -> bool:
    if ITS_PRODUCT in equal and document["orderItems"][0]["productId"] != equal[ITS_PRODUCT]:
        return False
    return all(document.get(k) == value for k, value in equal.items() if k != ITS_PRODUCT)


def _lists() -> dict[str, Any]:
    """Return each list of orders and of sales, with every filter and its absence."""
    found: dict[str, Any] = {}
    buyers, products = (None, CUSTOMER, NOBODY), (None, PRODUCT, UNSOLD)
    for buyer, product, flag in itertools.product(buyers, products, (False, True)):
        customer = {} if buyer is None else {"customerId": buyer}
        orders = customer if product is None else {ITS_PRODUCT: product, **customer}
        name = f"customer {buyer}, product {product}"
        if not (product and flag):
            found[f"orders, {name}{', oldest first' * flag}"] = (
                partial(find_orders, match=orders, is_up=flag), 2,
            )  # fmt: skip
        match = customer if product is None else {**customer, "productId": product}
        found[f"sales, {name}{', cancelled' * flag}"] = (
            partial(_find_sales, match=match, is_cancelled=flag), 3,
        )  # fmt: skip
    return found


def _find_sales(
    view: View,
    match: Mapping[str, Any],
    span: Range,
    after: PageKey | None,
    limit: int,
    *,
    is_cancelled: bool,
) -> Awaitable[Page]:
    return sales.find_sales(sales.Search(view, match, span, is_cancelled), after, limit)


LISTS = _lists()


async def _costs(shop: Shop, name: str, span: Range) -> dict[str, float]:
    """Return what the first page costs, the second, and one in the middle."""
    read, parts = LISTS[name]
    place = Place(1, oldest_order=shop.at(1), newest_order=shop.at(shop.size + LATE))
    view = View(shop, place)  # type: ignore[arg-type]

    async def page(after: PageKey | None) -> tuple[Page, float]:
        shop.requests = shop.documents = 0
        found = await read(view, span=span, after=after, limit=LIMIT)
        return found, shop.cost

    first, cost = await page(None)
    costs = {"first": cost}
    if first.next_key is not None:
        costs["second"] = (await page(first.next_key))[1]
        middle = shop.size // 8 * 4 + 2
        key = [int(1000 * shop.at(middle).timestamp()), middle, middle][:parts]
        costs["middle"] = (await page(key))[1]
    return costs


@pytest.mark.parametrize("pace", [timedelta(milliseconds=5), timedelta(minutes=1)], ids=str)
@pytest.mark.parametrize("has_range", [False, True])
def test_a_page_of_each_list_costs_the_same_with_1000_sales_and_with_500000(
    pace: timedelta, has_range: bool
) -> None:
    worse: dict[str, tuple[float, float]] = {}
    for name in LISTS:
        few, many = (Shop(size, pace) for size in (FEW, MANY))
        spans = [
            Range(shop.at(shop.size // 16 * 4 + 2), shop.at(shop.size // 16 * 12 + 2))
            if has_range
            else Range()
            for shop in (few, many)
        ]
        before, after = (
            asyncio.run(_costs(shop, name, span))
            for shop, span in zip((few, many), spans, strict=True)
        )
        assert before.keys() == after.keys(), name
        most = MOST_TIMES if "None" in name else MOST_OF_BOTH
        worse |= {
            f"{page} page of {name}": (round(cost), round(after[page]))
            for page, cost in before.items()
            if after[page] > most * cost
        }
    assert not worse
