"""How fast are reads, and are they as fast with fifty times the orders?

The orders are put into MongoDB as the projector would write them, without their sales: only orders
make these reads larger.
"""

import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.int64 import Int64
from pymongo.database import Database

from benchmarks.figures import Figure, Report
from benchmarks.load import request, run_load
from benchmarks.shop import CUSTOMERS, open_shop
from benchmarks.stage import Stage
from storelog.projector.checkpoints import CHECKPOINTS
from support.system import System

CONNECTIONS = 16
# A Spring Boot service of the same domain: a list of 201 customers 114 times a second.
REFERENCE = 114
START = datetime(2025, 1, 1, tzinfo=UTC)
Document = dict[str, Any]


def measure(report: Report, stage: Stage, seconds: float, sizes: tuple[int, int]) -> None:
    """Measure GET by id and pages with few orders, then with many."""
    with stage.new_system() as system:
        open_shop(system)
        made = system.new_order(1, (1, 1), (2, 1), (3, 1))
        system.wait_projected()
        model = system.mongo["orders"].find_one({"_id": made["orderId"]})
        assert model is not None
        reads = {
            "GET by id": "/customers/7",
            "a page of 50 customers": "/customers?limit=50",
            "a page of 201 customers": "/customers?limit=201",
            "the newest 50 orders": "/orders?limit=50",
            "the newest 50 orders of one customer": "/orders?customerId=7&limit=50",
        }
        rates: dict[str, list[float]] = {name: [] for name in reads}
        filled = 1
        for size in sizes:
            _fill(system.mongo, model, filled, size)
            filled = size
            for name, path in reads.items():
                rates[name].append(_rate(system, path, seconds))
    for name, (few, many) in rates.items():
        goal = 3 * REFERENCE if "customers" in name or name == "GET by id" else None
        of = f"/s, with {sizes[0]:,} orders"
        report.add(
            Figure("reads", f"{name}, {sizes[1]:,} orders", many, "/s", goal, False, few, of)
        )


def _rate(system: System, path: str, seconds: float) -> float:
    """Return the median of three short runs, in answers a second of one process."""
    one = request(system.queries.url, "GET", path)
    rates = []
    for _ in range(3):
        outcome = run_load(system.queries.url, lambda: one, CONNECTIONS, seconds / 3)
        assert set(outcome.statuses) == {200}, (path, outcome.statuses)
        rates.append(outcome.rate)
    return statistics.median(rates)


def _fill(database: Database[Document], model: Document, first: int, last: int) -> None:
    """Insert copies of an order, one a minute, until there are `last` of them."""
    for start in range(first, last, 2_000):
        documents = [
            {
                **model,
                "_id": Int64(1_000_000 + number),
                "order_id": Int64(1_000_000 + number),
                "customerId": Int64(1 + number % CUSTOMERS),
                "orderDate": START + timedelta(minutes=number),
            }
            for number in range(start, min(start + 2_000, last))
        ]
        database["orders"].insert_many(documents, ordered=False)
    bounds = {"oldestOrder": START}
    database[CHECKPOINTS].update_many({"oldestOrder": {"$ne": None}}, {"$set": bounds})
