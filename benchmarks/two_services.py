"""Are two Command Services as fast as one? The same load on one or both, in turns, on one system.

In turns, since a machine that others share is not equally fast for two runs one after the other.
"""

import statistics
from contextlib import nullcontext

import psutil

from benchmarks.figures import Figure, Report
from benchmarks.load import run_load
from benchmarks.orders import CONNECTIONS, READ_SIDE, REST
from benchmarks.shop import open_shop, orders
from benchmarks.stage import Stage, cpu_seconds
from support.system import System

# Two must take so many of the orders that one takes, for at most so much more CPU an order.
LEAST_SHARE, MOST_CPU = 0.95, 1.1
FOUR_CORES, LEAST_SHARE_ON_FOUR = 4, 1.25
SITUATIONS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("everything running", (), False),
    ("one hot product", (), True),
    ("the read side paused", READ_SIDE, False),
    ("the rest paused", REST, False),
)


def measure(report: Report, stage: Stage, seconds: float, rounds: int) -> None:
    """Add for each situation the orders a second of two beside those of one, and the CPU of both.

    CPU is that of all Command Services and of PostgreSQL, in microseconds an order.
    """
    least = LEAST_SHARE_ON_FOUR if (psutil.cpu_count() or 1) >= FOUR_CORES else LEAST_SHARE
    with stage.new_system() as system, System(system.settings, ("command-service",)) as second:
        open_shop(system)
        for what, paused, is_hot in SITUATIONS:
            one: list[tuple[float, float]] = []
            two: list[tuple[float, float]] = []
            with stage.paused(system, *paused) if paused else nullcontext():
                # The first turns warm up both ways, and are not counted.
                for turn in range(rounds + 1):
                    for found, others in ((one, []), (two, [second])):
                        use = _turn(stage, system, second, others, seconds, is_hot=is_hot)
                        if turn:
                            found.append(use)
            _add(report, what, one, two, least)


def _turn(
    stage: Stage,
    system: System,
    second: System,
    others: list[System],
    seconds: float,
    *,
    is_hot: bool,
) -> tuple[float, float]:
    """Return orders a second, and the microseconds of CPU that each took."""
    processes = [
        ("postgresql", psutil.Process(stage.servers.pid("postgresql"))),
        *(("command-service", psutil.Process(each.pid("command-service")))
          for each in (system, second)),
    ]  # fmt: skip
    before = sum(cpu_seconds(*each) for each in processes)
    url = system.commands.url
    urls = [each.commands.url for each in others]
    outcome = run_load(url, orders(url, is_hot=is_hot), CONNECTIONS, seconds, urls)
    assert set(outcome.statuses) == {201}, outcome.statuses
    used = sum(cpu_seconds(*each) for each in processes) - before
    return outcome.rate, 1e6 * used / outcome.statuses[201]


def _add(
    report: Report,
    what: str,
    one: list[tuple[float, float]],
    two: list[tuple[float, float]],
    least: float,
) -> None:
    """Add the median of two services, as so much of one's as the median of the turns' ratios."""
    for index, name, unit, share in (
        (0, "orders accepted by two Command Services", "/s", least),
        (1, "CPU an order of two Command Services and PostgreSQL", "us", MOST_CPU),
    ):
        pairs = [(a[index], b[index]) for a, b in zip(one, two, strict=True)]
        value = statistics.median(b for _, b in pairs)
        ratio = statistics.median(b / a for a, b in pairs)
        with_one = value / ratio
        report.add(
            Figure(
                "scale",
                f"{name}, {what}",
                value,
                unit,
                share * with_one,
                unit == "us",
                with_one,
                f"{unit}, with one, in turns",
            )
        )
