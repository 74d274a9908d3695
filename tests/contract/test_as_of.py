"""Time travel: reads as of a position or a time repeat the responses that were given under load."""

import random
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from storelog.documents.histories import BUCKET_VERSIONS, MAX_STARTS
from storelog.envelope import format_time, utc_now
from support.embedded import EmbeddedServers, new_settings
from support.http import Reply
from support.system import System

LOAD_SECONDS = 12.0
HEAD = "/events?after=9000000000000000000&limit=1"
DAYS = ["2024-02-28T23:59:59.999Z", "2024-02-29T00:00:00Z", "2024-03-01T12:00:00.5Z"]


class Trade:
    """A shop in which everything is made, changed and deleted, in bursts with pauses between."""

    def __init__(self, system: System, seed: int) -> None:
        self.system = system
        self.dice = random.Random(seed)
        self.customers = [system.new_customer(name=f"C{n}")["customerId"] for n in range(5)]
        self.products = [
            system.new_product(name=f"P{n}", price="0.425", stock=10_000)["productId"]
            for n in range(4)
        ]
        self.orders: list[int] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            for _ in range(self.dice.randint(1, 12)):
                self.step()
            self.stop.wait(self.dice.choice([0.05, 0.3, 0.6]))

    def step(self) -> None:
        dice, commands = self.dice, self.system.commands
        customer, product = dice.choice(self.customers), dice.choice(self.products)
        kind = dice.random()
        if kind < 0.6:
            lines = [{"productId": p, "quantity": 1} for p in dice.sample(self.products, 2)]
            body = {"customerId": customer, "orderItems": lines}
            if dice.random() < 0.5:
                body["orderDate"] = dice.choice(DAYS)
            reply = commands.post("/orders", body)
            if reply.status == 201:
                self.orders.append(reply.json["orderId"])
        elif kind < 0.7 and self.orders:
            commands.delete(f"/orders/{dice.choice(self.orders)}")
        elif kind < 0.8:
            body = {"name": f"C{dice.randint(0, 99)}", "email": "c@x"}
            commands.put(f"/customers/{customer}", body)
        elif kind < 0.9:
            body = {"name": f"P{dice.randint(0, 99)}", "price": str(dice.randint(1, 9))}
            commands.put(f"/products/{product}", body)
        elif kind < 0.95:
            self.customers.append(self.system.new_customer()["customerId"])
            commands.delete(f"/customers/{dice.choice(self.customers)}")
        else:
            self.products.append(self.system.new_product(stock=5)["productId"])
            if len(self.products) > 8:
                commands.delete(f"/products/{self.products[4 + dice.randint(0, 3)]}")

    def path(self) -> str:
        dice = self.dice
        customer, product = dice.choice(self.customers), dice.choice(self.products)
        order = dice.choice(self.orders or [1])
        span = f"from={dice.choice(DAYS)}"
        return dice.choice(
            [
                "/customers", "/products", "/products?inStock=true", "/orders", "/product-sold",
                f"/customers/{customer}", f"/products/{product}", f"/orders/{order}",
                f"/customers/{customer}/orders", f"/orders?productId={product}",
                f"/orders?{span}&limit=7", f"/product-sold?productId={product}",
                f"/product-sold?customerId={customer}", f"/product-sold?orderId={order}",
                "/product-sold?cancelled=true", "/analytics/total-sales",
                f"/analytics/total-sales?to={DAYS[2]}", "/analytics/sales-by-day",
                f"/analytics/sales-by-day?{span}", "/analytics/product-totals",
                f"/analytics/product-totals?{span}", "/analytics/top-customers",
                f"/analytics/top-customers?to={DAYS[1]}", f"/history/products/{product}",
                f"/history/customers/{customer}", f"/history/orders/{order}",
            ]
        )  # fmt: skip


@dataclass
class Record:
    """One response from a moment in which the log stood still, and that moment."""

    path: str
    reply: Reply
    position: int
    time: str


class Past:
    """Some hundred responses that were recorded under load."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.trade = Trade(system, seed=11)
        self.records: list[Record] = []
        worker = threading.Thread(target=self.trade.run)
        worker.start()
        until = utc_now() + timedelta(seconds=LOAD_SECONDS)
        while utc_now() < until or len(self.records) < 40:
            self.record(self.trade.path())
        self.trade.stop.set()
        worker.join()
        self.record_what_is_deleted_then()
        system.wait_projected()

    def record(self, path: str) -> None:
        head = self.system.commands.get(HEAD).position
        reply = self.system.queries.get(path, {"Storelog-Wait-For": str(head)})
        now = utc_now()
        if reply.status == 200 and reply.position != head:
            return
        if self.system.commands.get(HEAD).position == head and reply.status in (200, 404):
            self.records.append(Record(path, reply, head, format_time(now)))

    def record_what_is_deleted_then(self) -> None:
        """Record a customer, a product and an order, delete them, and record them again."""
        system = self.system
        customer, product = system.new_customer()["customerId"], system.new_product()["productId"]
        order = system.new_order(customer, (product, 1))["orderId"]
        paths = [f"/orders/{order}", f"/products/{product}", f"/customers/{customer}"]
        for _ in range(2):
            system.wait_projected()
            for path in paths:
                self.record(path)
                system.commands.delete(path)

    def last_before(self, at: str) -> int:
        found = self.system.sql(
            f"SELECT max(position) AS position FROM events WHERE recorded_at <= timestamptz '{at}'"
        )
        return int(found[0]["position"] or 0)


@pytest.fixture(scope="module")
def past(servers: EmbeddedServers) -> Iterator[Past]:
    with System(new_settings(servers)) as system:
        yield Past(system)


def as_of(path: str, moment: Any) -> str:
    return f"{path}{'&' if '?' in path else '?'}asOf={moment}"


def without_cursor(reply: Reply) -> Any:
    body = reply.json
    if reply.status != 200:
        return reply.slug
    if "nextCursor" in body:
        body["nextCursor"] = body["nextCursor"] is not None
    return body


def test_a_read_as_of_a_position_repeats_the_earlier_response(past: Past) -> None:
    kinds = {record.path.split("?")[0].split("/")[1] for record in past.records}
    assert {"customers", "products", "orders", "product-sold", "analytics", "history"} <= kinds
    for record in past.records:
        again = past.system.queries.get(as_of(record.path, record.position))
        assert again.status == record.reply.status, (record.path, record.position, again.raw)
        assert without_cursor(again) == without_cursor(record.reply), (record.path, record.position)
        if again.status == 200:
            assert again.position == record.position


@pytest.mark.parametrize("kind", ["customers", "products", "orders"])
def test_what_is_deleted_by_now_is_seen_as_it_was(past: Past, kind: str) -> None:
    queries = past.system.queries
    ones = [r for r in past.records if re.fullmatch(rf"/{kind}/\d+", r.path)]
    gone = [r for r in ones if r.reply.status == 200 and queries.get(r.path).status == 404]
    assert gone
    for record in gone:
        again = queries.get(as_of(record.path, record.position))
        assert (again.status, again.json) == (200, record.reply.json)
        assert again.etag == record.reply.etag


def test_a_read_as_of_a_time_repeats_the_earlier_response(past: Past) -> None:
    asked = [r for r in past.records if past.last_before(r.time) == r.position][:60]
    assert len(asked) >= 20
    for record in asked:
        again = past.system.queries.get(as_of(record.path, record.time), {"Prefer": "wait=30"})
        assert without_cursor(again) == without_cursor(record.reply), (record.path, record.position)
        if again.status == 200:
            assert again.position == record.position


def test_pages_of_the_past_are_walked_to_their_end(past: Past) -> None:
    for path, name in (("/orders", "orderId"), ("/products", "productId")):
        for record in past.records[:: max(1, len(past.records) // 4)]:
            items = [i[name] for i in past.system.queries.pages(as_of(path, record.position), 7)]
            whole = past.system.queries.get(as_of(f"{path}?limit=500", record.position)).json
            assert items == [item[name] for item in whole["items"]]


def test_a_time_means_the_last_position_recorded_at_or_before_it(past: Past) -> None:
    rows = past.system.sql("SELECT recorded_at FROM events ORDER BY position")
    for row in rows[:: max(1, len(rows) // 12)]:
        for beside in (timedelta(0), timedelta(milliseconds=-1)):
            at = format_time(row["recorded_at"] + beside)
            position = past.last_before(at)
            reply = past.system.queries.get(as_of("/customers", at), {"Prefer": "wait=30"})
            assert (reply.status == 422) if position == 0 else (reply.position == position)


@pytest.mark.parametrize(
    "moment",
    ["", "0", "-1", "1.5", "x", "99999999999999999999", "9000000000000", "1999-01-01",
     "2999-01-01", "2999-01-01T00:00:00Z", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z"],
)  # fmt: skip
def test_a_moment_that_never_was_is_422(past: Past, moment: str) -> None:
    for path in ("/orders", "/customers/1", "/analytics/total-sales", "/history/customers/1"):
        reply = past.system.queries.get(as_of(path, moment), {"Prefer": "wait=0"})
        assert (reply.status, reply.slug) == (422, "invalid-fields")
        assert reply.pointers == ["?asOf"]


def test_a_cursor_of_one_moment_is_no_cursor_of_another(past: Past) -> None:
    position = past.records[-1].position
    first = past.system.queries.get(as_of("/orders?limit=1", position)).json
    path = as_of(f"/orders?limit=1&cursor={first['nextCursor']}", position - 1)
    assert past.system.queries.get(path).pointers == ["?cursor"]


def test_now_is_a_moment_too(past: Past) -> None:
    reply = past.system.queries.get(as_of("/orders", format_time(utc_now())), {"Prefer": "wait=30"})
    assert (reply.status, reply.position) == (200, past.system.written())


def test_a_history_longer_than_the_beginnings_that_it_names_is_right_at_any_position(
    past: Past,
) -> None:
    system = past.system
    buyer = system.new_customer()["customerId"]
    hot, cold = (system.new_product(stock=9_000)["productId"] for _ in range(2))
    for number in range(5):
        lines = [(cold if line % 7 == 0 else hot, 1) for line in range(600 + number)]
        system.new_order(buyer, *lines)
    system.wait_projected()
    log = system.sql(
        "SELECT position, aggregate_id, version, event_type FROM events"
        " WHERE aggregate_type = 'product' AND aggregate_id = ANY($1) ORDER BY position",
        [hot, cold],
    )
    for product in (hot, cold):
        walked = system.queries.pages(f"/history/products/{product}", 500)
        assert [(e["position"], e["version"], e["eventType"]) for e in walked] == [
            (row["position"], row["version"], row["event_type"])
            for row in reversed(log)
            if row["aggregate_id"] == product
        ]
    left = {hot: 9_000, cold: 9_000}
    sales = [row for row in log if row["event_type"] == "ProductSold"]
    for place, sale in enumerate(sales):
        left[sale["aggregate_id"]] -= 1
        if place % 47 == 0:
            found = system.queries.get(as_of("/products?limit=500", sale["position"])).json["items"]
            stocks = {each["productId"]: each["stock"] for each in found}
            assert {product: stocks[product] for product in left} == left
    assert 9_000 - left[hot] > (MAX_STARTS + 1) * BUCKET_VERSIONS
