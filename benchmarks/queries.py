"""How fast are reads, and are they as fast with five hundred times the orders?

Some reads at once, as fast as they come; benchmarks/lists.py has every list by itself.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from pymongo.database import Database

from benchmarks.figures import Figure, Report
from benchmarks.filled import Filled
from benchmarks.load import Outcome, request, run_load
from storelog.envelope import format_time

CONNECTIONS = 16
THREADS = 4
# A Spring Boot service of the same domain: a list of 201 customers 114 times a second.
REFERENCE = 114
# Name, path, and how many items an answer has.
READS = {
    "GET an order by id": ("/orders/1000402", 0),
    "GET a customer by id": ("/customers/7", 0),
    "a page of 50 customers": ("/customers?limit=50", 50),
    "a page of 201 customers": ("/customers?limit=201", 201),
    "a page of 50 products": ("/products?limit=50", 50),
    "the newest 50 orders": ("/orders?limit=50", 50),
    "the newest 50 orders of one customer": ("/orders?customerId=3&limit=50", 50),
    "50 orders of a range": ("/orders?from={start}&to={end}&limit=50", 50),
    "50 sales of one product": ("/product-sold?productId=1&limit=50", 50),
}
Document = dict[str, Any]


def measure(report: Report, few: Filled, many: Filled, seconds: float) -> None:
    """Measure GET by id and pages with few orders and with many."""
    for name, (path, items) in READS.items():
        before, after = (_answers(shop, path, items, seconds) for shop in (few, many))
        goal = 3 * REFERENCE
        of, what = f"/s, with {few.size:,} orders", f"{name}, {many.size:,} orders"
        report.add(
            Figure("reads", what, after.rate, "/s", goal, False, before.rate, of),
            Figure("reads", f"{what}, p99", after.percentile_ms(0.99), "ms"),
        )
    for name, find in _finds(many):
        rate = _bare(many.system.mongo, find, seconds / 3)
        report.add(Figure("reads", f"{name} by one bare find of a driver", rate, "/s"))


def _finds(shop: Filled) -> Iterator[tuple[str, tuple[str, Document]]]:
    """Yield what the server is asked for at least, for two of the pages."""
    oldest = shop.time_of(shop.size - 97)
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


def _answers(shop: Filled, path: str, items: int, seconds: float) -> Outcome:
    """Return the middle of three short runs, each against one process."""
    start, end = (format_time(shop.newest - timedelta(minutes=before)) for before in (900, 600))
    path, queries = path.format(start=start, end=end), shop.system.queries
    answered = queries.get(path).json
    assert len(answered.get("items", ())) == items, (path, answered)
    one = request(queries.url, "GET", path)
    outcomes = []
    for _ in range(3):
        outcome = run_load(queries.url, lambda: one, CONNECTIONS, seconds / 3)
        assert set(outcome.statuses) == {200}, (path, outcome.statuses)
        outcomes.append(outcome)
    return sorted(outcomes, key=lambda outcome: outcome.rate)[1]
