"""Orders of the first and the last moment there is, which earlier releases took.

A shop that holds them reads, verifies and rebuilds, and can delete them, but no client can add one.
"""

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, NamedTuple

import asyncpg
import pytest

from storelog.command_service.pipeline import Pipeline
from storelog.command_service.submission import Submission
from storelog.config import Settings
from storelog.shop.kinds import Time
from storelog.shop.order import NewOrder, OrderLine, PlaceOrder
from support.system import System

UNSET = datetime(1, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
UNSET_TEXT, NEVER_TEXT = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"


def place_as_before(settings: Settings, dates: list[datetime]) -> list[int]:
    """Place an order of each date past the API, as the API did before it had bounds."""

    async def place() -> list[int]:
        pipeline = Pipeline(
            str(settings.postgres_url),
            max_queued=10,
            deadline_seconds=10,
            keep_keys=timedelta(hours=1),
        )
        await pipeline.start()
        try:
            placed = []
            for at in dates:
                command = PlaceOrder(0, NewOrder(1, (OrderLine(1, 2),), Time.of(at)))
                made = await pipeline.submit(Submission(command, "", "before", "/orders"))
                assert made.status == 201
                placed.append(json.loads(made.body)["orderId"])
            return placed
        finally:
            await pipeline.stop()

    return asyncio.run(place())


class Old(NamedTuple):
    """A shop, and its orders: of the first moment, of the last one, and two of now."""

    system: System
    first: int
    last: int
    of_now: list[int]


@pytest.fixture
def old(system: System) -> Old:
    system.new_customer()
    system.new_product(stock=100)
    of_now = [system.new_order(1, (1, 2))["orderId"] for _ in range(2)]
    system.sql("ALTER TABLE orders DROP CONSTRAINT orders_order_date_check")
    first, last = place_as_before(system.settings, [UNSET, NEVER])
    migration = files("storelog.migrations").joinpath("0008_order_dates.sql").read_text("utf-8")
    system.sql(migration)
    system.wait_projected()
    return Old(system, first, last, of_now)


def report(system: System, *argv: str) -> list[dict[str, Any]]:
    done = system.cli(*argv, "--json")
    assert done.returncode in (0, 1), done.stderr
    differences: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])["differences"]
    return differences


def test_orders_of_the_first_and_last_moment_are_listed_compared_rebuilt_and_deleted(
    old: Old,
) -> None:
    system, first, last, of_now = old
    queries = system.queries
    downward = [last, *reversed(of_now), first]
    for path in ("/orders", "/customers/1/orders", "/orders?productId=1", "/orders?customerId=1"):
        for limit in (1, 50):
            assert [order["orderId"] for order in queries.pages(path, limit)] == downward
    upward = [order["orderId"] for order in queries.pages("/orders?sort=orderDate", 1)]
    assert upward == downward[::-1]
    as_of = f"/orders?asOf={system.written()}"
    assert [order["orderId"] for order in queries.pages(as_of, 1)] == downward
    for path in ("/product-sold", "/product-sold?productId=1", "/product-sold?customerId=1"):
        assert [sale["orderId"] for sale in queries.pages(path, 1)] == downward
    shown = [queries.get(f"/orders/{number}").json["orderDate"] for number in (first, last)]
    assert shown == [UNSET_TEXT, NEVER_TEXT]
    assert queries.get("/orders?count=true").json["count"] == 4
    days = [each["day"] for each in queries.get("/analytics/sales-by-day").json["items"]]
    assert (days[0], days[-1]) == ("0001-01-01", "9999-12-31")

    expected = ("postgresql.orders", first, "order_date", UNSET_TEXT, "-infinity")
    for argv in (("verify",), ("rebuild", "--state-tables")):
        assert [tuple(each.values()) for each in report(system, *argv)] == [expected], argv
    assert report(system, "verify") == report(system, "rebuild", "--state-tables") == []

    # Lost rows of such orders come back, too, and the constraint is there afterwards.
    both = [first, last]
    system.sql("DELETE FROM order_items WHERE order_id = ANY($1)", both)
    system.sql("DELETE FROM orders WHERE order_id = ANY($1)", both)
    assert len(report(system, "rebuild", "--state-tables")) == 4
    assert report(system, "verify") == []
    with pytest.raises(asyncpg.CheckViolationError):
        system.sql("UPDATE orders SET version = version WHERE order_id = $1", first)

    for number in both:
        assert system.commands.delete(f"/orders/{number}").status == 204
    system.wait_projected()
    assert [order["orderId"] for order in queries.pages("/orders", 1)] == of_now[::-1]
    assert queries.get("/analytics/total-sales").json["orders"] == 2
    assert report(system, "verify") == []


def test_an_order_that_the_table_holds_as_minus_infinity_is_deleted_beside_others(
    old: Old,
) -> None:
    # A service that did not place it reads it from the table.
    old.system.signal("command-service", signal.SIGKILL)
    old.system.start("command-service")
    old.system.wait_ready("command-service")
    assert old.system.commands.delete(f"/orders/{old.first}").status == 204
    deleted = old.system.sql("SELECT payload FROM events WHERE event_type = 'OrderDeleted'")
    assert json.loads(deleted[0]["payload"])["orderDate"] == UNSET_TEXT
    assert old.system.sql("SELECT stock FROM products") == [{"stock": 94}]
    assert old.system.new_order(1, (1, 1))
