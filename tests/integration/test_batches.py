"""What shares a batch: bounded by lines and bytes, one large command, small ones between two."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from storelog.command_service import batch, decisions, state_reader
from storelog.command_service.decider import LOOP_LINES
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.sizes import LARGE_LINES
from storelog.command_service.submission import Idempotency, Submission
from storelog.command_service.taken import MAX_BATCH_BYTES
from storelog.config import Settings
from storelog.shop.commands import Command
from storelog.shop.customer import CreateCustomer, NewCustomer
from storelog.shop.kinds import Money
from storelog.shop.order import DeleteOrder, NewOrder, OrderLine, PlaceOrder
from storelog.shop.product import CreateProduct, NewProduct
from storelog.web.http import Response
from support.system import System

CAKE = "\U0001f370"
PRODUCTS = 20
# An event's hashes, ids and times, as a batch counts them too.
SLACK = 1.1


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Pipeline]:
    """Run a pipeline on a shop with one customer and products of the longest names."""
    pipeline = Pipeline(
        settings.postgres_url or "",
        max_queued=500,
        deadline_seconds=10,
        keep_keys=timedelta(hours=1),
    )
    await pipeline.start()
    try:
        await submit(pipeline, CreateCustomer(0, NewCustomer("Ann", "a@b")))
        new = [NewProduct(f"{CAKE * 196}{n:04}", Money(1), 10**8) for n in range(PRODUCTS)]
        await asyncio.gather(*(submit(pipeline, CreateProduct(0, each)) for each in new))
        yield pipeline
    finally:
        await pipeline.stop()


async def submit(pipeline: Pipeline, command: Command, key: str | None = None) -> Response:
    idempotency = None if key is None else Idempotency(key, key.encode())
    submission = Submission(command, "", "c", "/", idempotency=idempotency)
    response = await pipeline.submit(submission)
    assert response.status in (201, 204), response.body
    return response


def order_of(lines: int) -> PlaceOrder:
    return PlaceOrder(0, NewOrder(1, tuple(OrderLine(1 + n % PRODUCTS, 1) for n in range(lines))))


def position_of(response: Response) -> int:
    return int(dict(response.headers)["Storelog-Position"])


def test_a_small_command_that_waits_comes_before_the_next_large_one(settings: Settings) -> None:
    async def run() -> tuple[list[int], int]:
        async with started(settings) as pipeline:
            large = [submit(pipeline, order_of(2_000)) for _ in range(3)]
            small = submit(pipeline, CreateCustomer(0, NewCustomer("Bob", "b@b")))
            *placed, between = await asyncio.gather(*large, small)
            return sorted(map(position_of, placed)), position_of(between)

    (first, second, _), between = asyncio.run(run())
    assert first < between < second


def test_a_batch_of_orders_is_bounded_by_the_bytes_that_it_writes(settings: Settings) -> None:
    async def run() -> None:
        async with started(settings) as pipeline:
            orders = (submit(pipeline, order_of(LARGE_LINES // 2)) for _ in range(16))
            await asyncio.gather(*orders)

    asyncio.run(run())
    batches = System(settings).sql(
        "SELECT recorded_at, sum(octet_length(payload::text)) AS bytes, count(*)"
        " FROM events GROUP BY recorded_at ORDER BY bytes DESC"
    )
    assert batches[0]["bytes"] <= MAX_BATCH_BYTES
    # Several share a batch all the same.
    assert batches[0]["count"] > LARGE_LINES


@pytest.mark.parametrize("kind", ["placed", "deleted"])
def test_the_event_loop_goes_on_while_a_large_command_is_decided(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    decide = decisions.decide
    began, goes_on = threading.Event(), threading.Event()
    is_held = False

    def decide_when_the_loop_goes_on(command: Any, *rest: Any) -> Any:
        if is_held:
            began.set()
            assert goes_on.wait(10), "the loop waits for the decision"
        return decide(command, *rest)

    monkeypatch.setattr(batch, "decide", decide_when_the_loop_goes_on)

    async def run() -> None:
        nonlocal is_held
        async with started(settings) as pipeline:
            command: Command = order_of(LOOP_LINES + 1)
            if kind == "deleted":
                placed = await submit(pipeline, command)
                command = DeleteOrder(json.loads(placed.body)["orderId"])
            is_held = True
            deciding = asyncio.create_task(submit(pipeline, command))
            assert await asyncio.to_thread(began.wait, 10)
            goes_on.set()
            await deciding

    asyncio.run(run())


def test_a_key_that_was_used_for_another_request_does_not_read_the_first_response(
    settings: Settings,
) -> None:
    async def run() -> list[bytes]:
        async with started(settings) as pipeline:
            await submit(pipeline, order_of(2), "k")
            connection = await asyncpg.connect(settings.postgres_url)
            found = [
                await state_reader.read_remembered(connection, {("", "k"): request_hash})
                for request_hash in (b"k", b"of another request")
            ]
            await connection.close()
            return [answers["", "k"].response.body for answers in found]

    same, other = asyncio.run(run())
    assert json.loads(same)["customerId"] == 1
    assert other == b""
