"""How fast are reads, and are they as fast with fifty times the orders?

The orders are put into MongoDB as the projector would write them, each with one sale, all of one
product; each fourth order is deleted, and its sale cancelled. Relay and projector stand still
then, since they would write over the bounds that say where orders begin.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from bson.int64 import Int64
from pymongo.database import Database

from benchmarks.figures import Figure, Report
from benchmarks.load import Outcome, request, run_load
from benchmarks.shop import open_shop
from benchmarks.stage import Stage
from storelog.envelope import format_time
from storelog.projector.checkpoints import CHECKPOINTS
from support.system import System

CONNECTIONS = 16
THREADS = 4
# A Spring Boot service of the same domain: a list of 201 customers 114 times a second.
REFERENCE = 114
# So few that each has more than a page of the fewest orders.
BUYERS = 5
DELETED_EVERY = 4
# Name, path, and how many items an answer has.
READS = {
    "GET an order by id": ("/orders/1000401", 0),
    "GET a customer by id": ("/customers/7", 0),
    "a page of 50 customers": ("/customers?limit=50", 50),
    "a page of 201 customers": ("/customers?limit=201", 201),
    "a page of 50 products": ("/products?limit=50", 50),
    "the newest 50 orders": ("/orders?limit=50", 50),
    "the newest 50 orders of one customer": ("/orders?customerId=3&limit=50", 50),
    "the newest 50 orders of one product": ("/orders?productId=1&limit=50", 50),
    "the newest 50 of both": ("/orders?customerId=3&productId=1&limit=50", 50),
    "the oldest 50 orders": ("/orders?sort=orderDate&limit=50", 50),
    "50 sales": ("/product-sold?limit=50", 50),
    "50 sales of one product": ("/product-sold?productId=1&limit=50", 50),
    "50 sales of one customer": ("/product-sold?customerId=3&limit=50", 50),
    "50 cancelled sales": ("/product-sold?cancelled=true&limit=50", 50),
    "50 cancelled sales of one product": ("/product-sold?productId=1&cancelled=true&limit=50", 50),
    "50 cancelled sales of one customer": (
        "/product-sold?customerId=3&cancelled=true&limit=50",
        50,
    ),
}
FIRST_ID = 1_000_000
Document = dict[str, Any]


def measure(report: Report, stage: Stage, seconds: float, sizes: tuple[int, int]) -> None:
    """Measure GET by id and pages with few orders, then with many."""
    with stage.new_system() as system:
        open_shop(system)
        made = system.new_order(1, (1, 1), (2, 1), (3, 1))
        system.wait_projected()
        model = system.mongo["orders"].find_one({"_id": made["orderId"]})
        assert model is not None
        sale = system.mongo["product_sold"].find_one({"productId": 1})
        assert sale is not None
        reads = {**READS, "50 orders of a range": (_range(model["orderDate"]), 50)}
        found: dict[str, list[Outcome]] = {name: [] for name in reads}
        filled = 1
        with stage.paused(system, "relay", "projector"):
            with stage.using(system) as use:
                for size in sizes:
                    _fill(system.mongo, model, sale, filled, size)
                    filled = size
                    if not stage.wait_idle("mongodb"):
                        report.notes.append(f"the MongoDB server was still busy, {size:,} orders")
                    for name, (path, items) in reads.items():
                        found[name].append(_answers(system, path, items, seconds))
            bare = {name: _bare(system.mongo, find, seconds / 3) for name, find in _finds(model)}
    report.note_use("reads, filling, and rests", use.cpu_percent, use.memory_mb)
    for name, (few, many) in found.items():
        goal = 3 * REFERENCE
        of, what = f"/s, with {sizes[0]:,} orders", f"{name}, {sizes[1]:,} orders"
        report.add(
            Figure("reads", what, many.rate, "/s", goal, False, few.rate, of),
            Figure("reads", f"{what}, p99", many.percentile_ms(0.99), "ms"),
        )
    for name, rate in bare.items():
        report.add(Figure("reads", f"{name} by one bare find of a driver", rate, "/s"))


def _finds(model: Document) -> Iterator[tuple[str, tuple[str, Document]]]:
    """Yield what the server is asked for at least, for two of the pages."""
    oldest = model["orderDate"] - timedelta(minutes=65)
    yield "the newest 50 orders", ("orders", {"deleted": False, "orderDate": {"$gte": oldest}})
    yield "50 products", ("products", {"_id": {"$in": list(range(1, 51))}})


def _bare(database: Database[Document], find: tuple[str, Document], seconds: float) -> float:
    """Return how often a second a server answers the find to some threads of one client."""
    collection, wanted = find
    began = time.monotonic()
    until = began + seconds

    def ask() -> int:
        asked = 0
        while time.monotonic() < until:
            assert len(list(database[collection].find(wanted))) == 50
            asked += 1
        return asked

    with ThreadPoolExecutor(THREADS) as pool:
        asked = sum(thread.result() for thread in [pool.submit(ask) for _ in range(THREADS)])
    return asked / (time.monotonic() - began)


def _range(newest: datetime) -> str:
    start, end = (newest - timedelta(minutes=before) for before in (900, 600))
    return f"/orders?from={format_time(start)}&to={format_time(end)}&limit=50"


def _answers(system: System, path: str, items: int, seconds: float) -> Outcome:
    """Return the middle of three short runs, each against one process."""
    answered = system.queries.get(path).json
    assert len(answered.get("items", ())) == items, (path, answered)
    one = request(system.queries.url, "GET", path)
    outcomes = []
    for _ in range(3):
        outcome = run_load(system.queries.url, lambda: one, CONNECTIONS, seconds / 3)
        assert set(outcome.statuses) == {200}, (path, outcome.statuses)
        outcomes.append(outcome)
    return sorted(outcomes, key=lambda outcome: outcome.rate)[1]


def _fill(
    database: Database[Document], model: Document, sale: Document, first: int, last: int
) -> None:
    """Insert copies of an order and its sale, one a minute before it, until there are `last`."""
    for start in range(first, last, 2_000):
        numbers = range(start, min(start + 2_000, last))
        database["orders"].insert_many([_order(model, n) for n in numbers], ordered=False)
        database["product_sold"].insert_many([_sale(sale, n) for n in numbers], ordered=False)
    bounds = {"oldestOrder": model["orderDate"] - timedelta(minutes=last)}
    database[CHECKPOINTS].update_many({"oldestOrder": {"$ne": None}}, {"$set": bounds})


def _order(model: Document, number: int) -> Document:
    items = [{**model["orderItems"][0], "itemId": Int64(FIRST_ID + number)}]
    return {
        **model,
        "_id": Int64(FIRST_ID + number),
        "order_id": Int64(FIRST_ID + number),
        "customerId": Int64(1 + number % BUYERS),
        "orderDate": model["orderDate"] - timedelta(minutes=number),
        "orderItems": items,
        "deleted": number % DELETED_EVERY == 0,
    }


def _sale(model: Document, number: int) -> Document:
    mark = {"cancelled": True, "cancelPosition": model["position"]}
    return {
        **model,
        "_id": Int64(FIRST_ID + number),
        "orderId": Int64(FIRST_ID + number),
        "customerId": Int64(1 + number % BUYERS),
        "soldAt": model["soldAt"] - timedelta(minutes=number),
        **({} if number % DELETED_EVERY else mark),
    }
