"""Many at once on one Command Service: nobody starves, nothing piles up, every figure is exact."""

import threading
import time
from typing import Any

import psutil

from storelog.config import Settings
from support.load import place_orders
from support.system import System

LINES = 2_000


def body_of(customer: int, lines: list[int]) -> dict[str, Any]:
    items = [{"productId": product, "quantity": 1} for product in lines]
    return {"customerId": customer, "orderItems": items}


def test_the_largest_order_neither_starves_nor_is_starved(settings: Settings) -> None:
    with System(settings, ("command-service",)) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(stock=1_000_000_000)["productId"]
        small = body_of(customer, [product])
        large = body_of(customer, [product] * LINES)
        results: list[Any] = []

        def place_small() -> None:
            results.append(place_orders([system.commands.url], [small] * 1_500, 32))

        load = threading.Thread(target=place_small)
        load.start()
        slowest = 0.0
        for _ in range(5):
            began = time.monotonic()
            assert system.commands.post("/orders", large).status == 201
            slowest = max(slowest, time.monotonic() - began)
        load.join(120)
        statuses, _ = results[0]
        assert statuses == {201: 1_500}
        assert slowest < 10, f"a large order took {slowest:.1f} s"
        stock = system.sql("SELECT stock FROM products")[0]["stock"]
        assert stock == 1_000_000_000 - 1_500 - 5 * LINES


def test_overload_is_told_in_time_and_leaves_nothing_behind(settings: Settings) -> None:
    limits = {"STORELOG_MAX_QUEUED_COMMANDS": "50"}
    with System(settings, ("command-service",), environment=limits) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(stock=1_000_000_000)["productId"]
        body = body_of(customer, [product])
        place_orders([system.commands.url], [body] * 500, 32)
        process = psutil.Process(system.pid("command-service"))
        before = process.memory_info().rss
        statuses, answers = place_orders([system.commands.url], [body] * 6_000, 400, seconds=120)
        assert set(statuses) == {201, 503}
        kinds = {answer["type"] for answer in answers if "type" in answer}
        assert kinds == {"/problems/overloaded"}
        assert process.memory_info().rss < before + 60 * 2**20
        # As soon as it is over, everything is taken again.
        statuses, _ = place_orders([system.commands.url], [body] * 200, 32)
        assert statuses == {201: 200}
        sold = system.sql("SELECT count(*) AS n FROM orders")[0]["n"]
        in_the_log = system.sql("SELECT count(*) AS n FROM events WHERE event_type = 'ProductSold'")
        assert in_the_log == [{"n": sold}]
