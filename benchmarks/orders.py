"""How many orders a second are accepted, by everything together, by the write side, by no HTTP?"""

import json
import random
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

from benchmarks.figures import Figure, Report
from benchmarks.load import Outcome, request, run_load
from benchmarks.shop import next_of, open_shop, order, orders
from benchmarks.stage import Stage
from support.system import System

CONNECTIONS = 64
READ_SIDE = ("projector", "query-service", "mongodb")
REST = ("relay", "kafka", *READ_SIDE)
CATCH_UP_SECONDS = 300.0


def measure(report: Report, stage: Stage, seconds: float) -> None:
    """Measure orders of three lines over HTTP, and the same pipeline called directly."""
    direct = _direct(stage, seconds)["rate"]
    with stage.new_system() as system:
        open_shop(system)
        _one_alone(report, system)
        url = system.commands.url
        run_load(url, orders(url), CONNECTIONS, seconds / 2)
        for what in ("everything running", "one hot product"):
            _with_everything(report, stage, system, seconds, what, direct)
        for what, paused in (("the read side paused", READ_SIDE), ("the rest paused", REST)):
            with stage.paused(system, *paused):
                outcome = run_load(url, orders(url), CONNECTIONS, seconds)
            assert set(outcome.statuses) == {201}, outcome.statuses
            goal = 0.6 * direct if paused is REST else None
            report.add(_accepted(outcome, what, goal, direct))


def _accepted(outcome: Outcome, what: str, goal: float | None, direct: float) -> Figure:
    of = "/s, the same batches called directly"
    return Figure("orders", f"accepted, {what}", outcome.rate, "/s", goal, False, direct, of)


def _with_everything(
    report: Report, stage: Stage, system: System, seconds: float, what: str, direct: float
) -> None:
    """Measure with all processes running, each run from a read model that has caught up."""
    url = system.commands.url
    is_hot = what == "one hot product"
    _catch_up(system)
    before, began = _reached(system), time.monotonic()
    with stage.using(system) as use:
        outcome = run_load(url, orders(url, is_hot=is_hot), CONNECTIONS, seconds)
    assert set(outcome.statuses) == {201}, outcome.statuses
    elapsed = time.monotonic() - began
    relayed, projected = (
        (now - then) / elapsed for now, then in zip(_reached(system), before, strict=True)
    )
    report.note_use(f"orders, {what}", use.cpu_percent, use.memory_mb)
    report.add(
        _accepted(outcome, what, 4_000, direct),
        Figure("orders", f"p50, {what}", outcome.percentile_ms(0.5), "ms"),
        Figure("orders", f"p99, {what}", outcome.percentile_ms(0.99), "ms", 50, True),
        Figure("orders", f"relayed meanwhile, {what}", relayed, "events/s"),
        Figure("orders", f"readable meanwhile, {what}", projected, "events/s"),
    )


def _catch_up(system: System) -> None:
    give_up_at = time.monotonic() + CATCH_UP_SECONDS
    while (reached := _reached(system)[1]) < system.written():
        assert time.monotonic() < give_up_at, f"the read model is at {reached}"
        threading.Event().wait(0.5)


def _reached(system: System) -> tuple[int, int]:
    """Return up to which position events are in Kafka, and in the read model."""
    relayed = int(system.sql("SELECT position FROM relay_cursor")[0]["position"])
    return relayed, system.queries.get("/analytics/total-sales").position


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
