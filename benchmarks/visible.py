"""How soon can an order be read? From its 201 to the answer of a read that waits for it.

Also a list and a figure that wait for it.

200 orders a second are placed meanwhile; every tenth is followed, by the Query Service's own wait.
"""

import asyncio
import random
import threading
import time
from collections.abc import Sequence

import aiohttp

from benchmarks.figures import Figure, Report
from benchmarks.shop import open_shop, order
from benchmarks.stage import Stage
from support.system import System

ORDERS_PER_SECOND = 200
FOLLOW_EVERY = 10
GIVE_UP_SECONDS = 20.0
OTHERS = ("/orders?limit=10", "/analytics/total-sales")


def measure(report: Report, stage: Stage, seconds: float) -> None:
    """Measure the time to readable at 200 orders/s, then what everything costs when idle."""
    with stage.new_system() as system:
        open_shop(system)
        system.wait_projected()
        asyncio.run(_follow(system, 2.0))
        with stage.using(system) as use:
            waits = sorted(asyncio.run(_follow(system, seconds)))
        others = sorted(asyncio.run(_follow(system, seconds, OTHERS)))
        report.note_use("200 orders/s", use.cpu_percent, use.memory_mb)
        p50, p99 = _share(waits, 0.5), _share(waits, 0.99)
        report.add(
            Figure("readable", "after the 201, at 200 orders/s, p50", p50, "ms", 50, True),
            Figure("readable", "after the 201, at 200 orders/s, p99", p99, "ms", 200, True),
            Figure("readable", "in a list or total, p50", _share(others, 0.5), "ms"),
            Figure("readable", "in a list or total, p99", _share(others, 0.99), "ms", 250, True),
        )
        system.wait_projected()
        threading.Event().wait(3)
        with stage.using(system) as use:
            threading.Event().wait(seconds)
        report.note_use("idle", use.cpu_percent, use.memory_mb)
        ours = use.ours() + use.cpu_percent["postgresql"]
        what = "CPU of our four processes and PostgreSQL, of one core"
        report.add(Figure("idle", what, ours, "%", 5, True))
        for name in ("kafka", "mongodb"):
            report.add(Figure("idle", f"CPU of {name}, of one core", use.cpu_percent[name], "%"))


def _share(ordered: Sequence[float], share: float) -> float:
    return 1_000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _follow(
    system: System, seconds: float, paths: Sequence[str] = ("/orders/{}",)
) -> list[float]:
    """Place orders at an even pace; return the followed ones' seconds to readable."""
    dice, waits = random.Random(4), list[float]()
    commands, queries = system.commands.url, system.queries.url
    headers = {"Content-Type": "application/json"}

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:

        async def place(number: int) -> None:
            async with session.post(
                f"{commands}/orders", data=order(dice), headers=headers
            ) as reply:
                assert reply.status == 201
                made, at = await reply.json(), reply.headers["Storelog-Position"]
            if number % FOLLOW_EVERY:
                return
            began = time.perf_counter()
            wait = {"Storelog-Wait-For": at, "Prefer": "wait=20"}
            path = paths[number // FOLLOW_EVERY % len(paths)].format(made["orderId"])
            # A busy MongoDB server may not answer in a second: then it is asked again, as it says.
            while time.perf_counter() < began + GIVE_UP_SECONDS:
                async with session.get(f"{queries}{path}", headers=wait) as reply:
                    if reply.status == 200:
                        waits.append(time.perf_counter() - began)
                        return
                    assert reply.status == 503, await reply.text()
                await asyncio.sleep(0.05)
            raise AssertionError(f"{path} could not be read")

        began = time.perf_counter()
        for number in range(int(seconds * ORDERS_PER_SECOND)):
            due = began + number / ORDERS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(place(number))
    return waits
