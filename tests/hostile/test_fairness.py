"""Work is counted in lines and bytes, and shared fairly between clients."""

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.embedded import EmbeddedServers, new_settings
from support.http import Client, Reply
from support.system import System

# What is measured are milliseconds.
pytestmark = pytest.mark.alone

LINES = 2_000
PRODUCTS = 200
CAKE = "\U0001f370"
SLACK_SECONDS = 0.1


@pytest.fixture(scope="module")
def busy(servers: EmbeddedServers) -> Iterator[System]:
    with System(new_settings(servers), ("command-service",)) as system:
        yield system


@pytest.fixture(scope="module")
def large(busy: System) -> dict[str, Any]:
    """An order as large as one may be, of products with the longest names."""
    ann = busy.new_customer()["customerId"]
    products = [
        busy.new_product(name=f"{CAKE * 196}{n:04}", stock=100_000_000)["productId"]
        for n in range(PRODUCTS)
    ]
    items = [{"productId": products[n % PRODUCTS], "quantity": 1} for n in range(LINES)]
    return {"customerId": ann, "orderItems": items}


def seconds_of(send: Any) -> float:
    began = time.monotonic()
    reply: Reply = send()
    assert reply.status in (200, 201, 204), reply.raw
    return time.monotonic() - began


def small_ones(busy: System, number: int) -> list[tuple[int, float, str]]:
    """Send small commands, one after the other; return their statuses, seconds and details."""
    client, told = Client(busy.commands.url), []
    for _ in range(number):
        began = time.monotonic()
        reply = client.post("/customers", {"name": "Ann", "email": "a@b"})
        detail = "" if reply.status == 201 else str(reply.json["detail"])
        told.append((reply.status, time.monotonic() - began, detail))
    return told


def test_small_commands_see_no_503_and_little_delay_beside_four_connections_of_large_orders(
    busy: System, large: dict[str, Any]
) -> None:
    alone = max(seconds_of(lambda: busy.commands.post("/orders", large)) for _ in range(3))
    quiet = statistics.median(seconds for _, seconds, _ in small_ones(busy, 60))
    stop = threading.Event()
    placed: Counter[int] = Counter()

    def place() -> None:
        client = Client(busy.commands.url)
        while not stop.is_set():
            placed[client.post("/orders", large).status] += 1

    with ThreadPoolExecutor(8) as pool:
        placing = [pool.submit(place) for _ in range(4)]
        told = [pool.submit(small_ones, busy, 60) for _ in range(4)]
        beside = [each for future in told for each in future.result()]
        stop.set()
        for future in placing:
            future.result()
    p50 = statistics.median(seconds for _, seconds, _ in beside)
    print(
        f"one large alone {alone:.3f} s, quiet p50 {quiet:.4f} s, beside p50 {p50:.4f} s, {placed}"
    )
    assert Counter(status for status, _, _ in beside) == {201: 240}
    assert placed[201] > 0
    assert p50 <= quiet + alone + SLACK_SECONDS


def test_150_deletions_of_large_orders_stall_nobody_and_are_rejected_only_for_what_is_true(
    busy: System, large: dict[str, Any]
) -> None:
    orders = [busy.commands.post("/orders", large).json["orderId"] for _ in range(150)]
    stop, slowest = threading.Event(), [0.0]

    def probe() -> None:
        client = Client(busy.commands.url)
        while not stop.is_set():
            slowest[0] = max(slowest[0], seconds_of(lambda: client.get("/health/live")))

    def delete(order: int) -> Reply:
        return Client(busy.commands.url).delete(f"/orders/{order}")

    with ThreadPoolExecutor(152) as pool:
        probing = pool.submit(probe)
        told = pool.submit(small_ones, busy, 40)
        replies = list(pool.map(delete, orders))
        beside = told.result()
        stop.set()
        probing.result()
    statuses = Counter(reply.status for reply in replies)
    why = Counter(reply.json["detail"] for reply in replies if reply.status == 503)
    print(f"{statuses}, {why}, /health/live at most {slowest[0]:.3f} s")
    assert set(statuses) <= {204, 503}
    assert statuses[204] >= 10
    for reply in replies:
        if reply.status == 503:
            assert reply.slug == "overloaded"
            assert reply.json["detail"] == "Too many large commands are waiting."
    assert {status for status, _, _ in beside} == {201}
    assert slowest[0] < 0.4
