"""The pipeline without HTTP: the ceiling of the Command Service, and a quick way to fill a log.

Run by orders.py and relaying.py with the system's environment; prints JSON.
"""

import argparse
import asyncio
import json
import random
import time
from datetime import timedelta

import uvloop

from benchmarks.shop import order
from storelog.command_service.pipeline import Pipeline
from storelog.command_service.requests import read
from storelog.command_service.submission import Submission
from storelog.config import load
from storelog.shop.order import NewOrder, PlaceOrder
from storelog.web.json_body import read_json
from storelog.web.server import spare_the_collector

WARM_UP_SECONDS = 1.0


async def run(seconds: float, orders: int, in_flight: int) -> dict[str, float]:
    """Keep `in_flight` orders in the pipeline until time or number is reached."""
    pipeline = Pipeline(
        load().settings.postgres_url or "",
        max_queued=2_000,
        deadline_seconds=10,
        keep_keys=timedelta(hours=24),
    )
    dice = random.Random(3)
    commands = [
        PlaceOrder(0, read(NewOrder, read_json(order(dice), "application/json")))
        for _ in range(5_000)
    ]
    await pipeline.start()
    # As a service does before it answers.
    spare_the_collector()

    async def place(for_seconds: float, at_most: int) -> tuple[int, float]:
        begun, began = 0, time.monotonic()

        async def work() -> None:
            nonlocal begun
            while begun < at_most and time.monotonic() < began + for_seconds:
                begun += 1
                command = commands[begun % len(commands)]
                answer = await pipeline.submit(Submission(command, "", "0" * 32, "/orders"))
                assert answer.status == 201

        await asyncio.gather(*(work() for _ in range(in_flight)))
        return begun, begun / (time.monotonic() - began)

    warm, _ = await place(min(WARM_UP_SECONDS, seconds), orders)
    _, rate = await place(seconds, orders - warm)
    await pipeline.stop()
    return {"rate": rate}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=600.0)
    arguments.add_argument("--orders", type=int, default=10**9)
    arguments.add_argument("--in-flight", type=int, default=64)
    wanted = arguments.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(wanted.seconds, wanted.orders, wanted.in_flight))))
