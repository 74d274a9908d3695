"""How many orders a second are accepted, by everything together, by the write side, by no HTTP?"""

import json
import random
import statistics
import subprocess
import sys
import threading
from typing import Any

from benchmarks.figures import Figure, Report
from benchmarks.load import Outcome, request, run_load
from benchmarks.shop import next_of, open_shop, order, orders
from benchmarks.stage import Stage
from support.system import System

CONNECTIONS = 64
REST = ("relay", "projector", "query-service", "kafka", "mongodb")


def measure(report: Report, stage: Stage, seconds: float) -> None:
    """Measure orders of three lines over HTTP, and the same pipeline called directly."""
    with stage.new_system() as system:
        open_shop(system)
        _one_alone(report, system)
        url = system.commands.url
        run_load(url, orders(url), CONNECTIONS, seconds / 2)
        outcome = _with_everything(
            report, stage, system, seconds, "everything running", is_hot=False
        )
        _with_everything(report, stage, system, seconds, "one hot product", is_hot=True)
        with stage.paused(system, *REST):
            alone = run_load(url, orders(url), CONNECTIONS, seconds)
    direct = _direct(stage, seconds)
    report.add(
        Figure(
            "orders",
            "over HTTP, the rest paused",
            alone.rate,
            "/s",
            0.6 * direct["rate"],
            ceiling=direct["rate"],
            ceiling_of="/s, the same batches called directly",
        ),
        Figure("orders", "share of all: everything running", outcome.rate / alone.rate, ""),
    )


def _with_everything(
    report: Report, stage: Stage, system: System, seconds: float, what: str, *, is_hot: bool
) -> Outcome:
    url = system.commands.url
    with stage.using(system) as use:
        outcome = run_load(url, orders(url, is_hot=is_hot), CONNECTIONS, seconds)
    assert set(outcome.statuses) == {201}, outcome.statuses
    report.use[f"orders, {what}"] = {"cpu": use.cpu_percent, "memory": use.memory_mib}
    report.add(
        Figure("orders", f"accepted, {what}", outcome.rate, "/s", 4_000),
        Figure("orders", f"p50, {what}", outcome.percentile_ms(0.5), "ms"),
        Figure("orders", f"p99, {what}", outcome.percentile_ms(0.99), "ms", 50, True),
    )
    return outcome


def _one_alone(report: Report, system: System) -> None:
    """Measure single commands on a system that has nothing else to do: one now and then."""
    url, dice = system.commands.url, random.Random(2)
    latencies = []
    for _ in range(60):
        one = iter([request(url, "POST", "/orders", order(dice))])
        latencies += run_load(url, next_of(one), 1).latencies
        threading.Event().wait(0.15)
    p50 = 1_000 * statistics.median(latencies)
    report.add(Figure("orders", "one now and then, idle, p50", p50, "ms", 5, True))


def _direct(stage: Stage, seconds: float) -> dict[str, Any]:
    """Return what the pipeline reaches without HTTP, in a process of its own."""
    with stage.new_system("command-service") as system:
        open_shop(system)
        with stage.paused(system, "command-service", "kafka", "mongodb"):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.direct", "--seconds", str(seconds)],
                env=system.environment,
                capture_output=True,
                text=True,
                timeout=seconds + 60,
                check=True,
            )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
