"""SIGTERM under load: accepted commands get responses; a client that repeats sees no error."""

import asyncio
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest

from storelog.client import Line, Storelog
from storelog.config import Settings
from storelog.local.servers import PROCESSES
from support.system import System

pytestmark = pytest.mark.alone

UNDER_WAY = 50
SENDERS = 64
MAX_ORDERS = 100_000
STOP_SECONDS = 10.0


def order(system: System) -> dict[str, Any]:
    customer = system.new_customer()["customerId"]
    product = system.new_product(stock=1_000_000)["productId"]
    return {"customerId": customer, "orderItems": [{"productId": product, "quantity": 1}]}


def test_after_sigterm_accepted_commands_get_responses_and_none_is_dropped(
    settings: Settings,
) -> None:
    with System(settings, ("command-service",)) as system:
        body = order(system)
        outcomes: Counter[str] = Counter()
        is_under_way, has_stopped = threading.Event(), threading.Event()

        async def send(session: aiohttp.ClientSession) -> None:
            while not has_stopped.is_set() and outcomes.total() < MAX_ORDERS:
                try:
                    async with session.post(f"{system.commands.url}/orders", json=body) as reply:
                        outcomes[str(reply.status)] += 1
                except aiohttp.ClientError:
                    outcomes["not accepted"] += 1
                if outcomes["201"] > UNDER_WAY:
                    is_under_way.set()

        async def load() -> None:
            connector = aiohttp.TCPConnector(limit=SENDERS)
            async with aiohttp.ClientSession(connector=connector) as session:
                await asyncio.gather(*(send(session) for _ in range(SENDERS)))

        sending = threading.Thread(target=lambda: asyncio.run(load()))
        sending.start()
        assert is_under_way.wait(30)
        began = time.monotonic()
        system.signal("command-service", signal.SIGTERM)
        assert system.exit_code("command-service") == 0
        assert time.monotonic() - began < STOP_SECONDS
        has_stopped.set()
        sending.join(60)
        assert outcomes["201"] < outcomes.total(), "the signal came too late"
        found = system.sql("SELECT count(*) AS n FROM orders")
        assert found == [{"n": outcomes["201"]}], outcomes
        assert set(outcomes) <= {"201", "503", "not accepted"}


def test_a_client_with_keys_sees_no_error_of_a_rolling_restart(settings: Settings) -> None:
    with System(settings) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(stock=1_000_000)["productId"]
        is_over = threading.Event()

        def trade() -> int:
            placed = 0
            with Storelog(system.commands.url, system.queries.url, patience_seconds=60) as shop:
                while not is_over.wait(0.02):
                    order = shop.place_order(customer, [Line(product, 1)])
                    assert shop.get_order(order.order_id).total_price == order.total_price
                    placed += 1
            return placed

        with ThreadPoolExecutor(4) as pool:
            traders = [pool.submit(trade) for _ in range(4)]
            try:
                for name in PROCESSES:
                    began = time.monotonic()
                    system.signal(name, signal.SIGTERM)
                    assert system.exit_code(name) == 0
                    assert time.monotonic() - began < STOP_SECONDS
                    system.start(name)
                    system.wait_ready(name)
            finally:
                is_over.set()
            placed = sum(trader.result(120) for trader in traders)
        found = system.sql("SELECT count(*) AS n, count(DISTINCT order_id) AS orders FROM orders")
        assert found == [{"n": placed, "orders": placed}]
