"""`make bench-scale`: what does one more of each process add? As many of each as the cores allow.

One process keeps one core busy at most, so of each there are at most half as many as cores; of
projectors at most one for each lane. Two are measured on every machine, since two is what anyone
runs for availability: where the cores are full with one, that says what the second costs. A second
relay adds nothing by design: one is active, the others take over.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psutil

from benchmarks import two_services
from benchmarks.figures import Figure, Report, machine
from benchmarks.load import NextRequest, Outcome, request, run_load
from benchmarks.projecting import LANES, projected
from benchmarks.relaying import fill_and_relay
from benchmarks.shop import open_shop, orders
from benchmarks.stage import Stage, backlog_rate
from support.system import System

LEAST, MOST = 2, 8
CONNECTIONS = 64
BACKLOG, QUICK_BACKLOG = 40_000, 8_000
WAIT_SECONDS = 600.0
LIST = "/orders?limit=50"


def main() -> None:
    """Measure each process by itself, then everything together."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--out", type=Path, default=Path("build/bench"))
    chosen = arguments.parse_args()
    seconds, backlog = (2.0, QUICK_BACKLOG) if chosen.quick else (15.0, BACKLOG)
    rounds = 2 if chosen.quick else 5
    report, most = Report(machine()), at_most(os.cpu_count() or 1)
    text = f"{os.cpu_count()} cores: up to {most} of each process, {min(most, LANES)} projectors"
    report.notes.append(text)
    print(text, flush=True)
    with Stage() as stage:
        report.machine["mongodb"] = stage.mongodb()
        two_services.measure(report, stage, seconds / 4, rounds)
        _commands(report, stage, most, seconds)
        _projectors(report, stage, min(most, LANES), backlog)
        _queries(report, stage, most, seconds, backlog)
        _everything(report, stage, most, seconds)
    report.show()
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "scale.json").write_text(json.dumps(report.as_json(), indent=1), "utf-8")


def at_most(cores: int) -> int:
    """Return how many of each process a machine has room for, two at the least."""
    return min(max(LEAST, cores // 2), MOST)


@contextmanager
def _more(system: System, name: str, number: int) -> Iterator[list[System]]:
    """Start so many more of a process; yield the systems that have one, the first included."""
    with ExitStack() as running:
        others = [
            running.enter_context(System(system.settings, (name,))) for _ in range(number - 1)
        ]
        yield [system, *others]


def _load(urls: list[str], next_request: Callable[[str], NextRequest], seconds: float) -> float:
    """Return the good answers a second of the same load, spread over the addresses."""
    each = max(1, CONNECTIONS // len(urls))

    def run(url: str) -> Outcome:
        return run_load(url, next_request(url), each, seconds)

    with ThreadPoolExecutor(len(urls)) as pool:
        return sum(outcome.rate for outcome in pool.map(run, urls))


class _Rates:
    """The rates of one, two, three... of a process, each beside that of one."""

    def __init__(self, report: Report, what: str, unit: str) -> None:
        self._report, self._what, self._unit = report, what, unit
        self._first: float | None = None

    def measure(self, number: int, run: Callable[[], float]) -> None:
        psutil.cpu_percent()
        rate = run()
        busy = psutil.cpu_percent()
        name = f"{self._what}, {number}, the cores {busy:.0f} % busy"
        self._report.add(
            Figure("scale", name, rate, self._unit, ceiling=self._first, ceiling_of="with one")
        )
        self._first = self._first or rate


def _commands(report: Report, stage: Stage, most: int, seconds: float) -> None:
    """Orders accepted, with nothing that reads them running."""
    rates = _Rates(report, "orders accepted by command-service", "/s")
    for number in range(1, most + 1):
        with stage.new_system("command-service") as system:
            open_shop(system)
            with _more(system, "command-service", number) as systems:
                urls = [each.commands.url for each in systems]
                _load(urls, orders, seconds / 2)
                rates.measure(number, partial(_load, urls, orders, seconds))


def _projectors(report: Report, stage: Stage, most: int, backlog: int) -> None:
    """Events of a backlog that become readable."""
    rates = _Rates(report, "events projected by projector", "/s")
    for number in range(1, most + 1):
        with stage.new_system("command-service", "query-service") as system:
            fill_and_relay(system, backlog)
            system.start("projector")
            with _more(system, "projector", number):
                rates.measure(number, partial(_project, system))


def _queries(report: Report, stage: Stage, most: int, seconds: float, backlog: int) -> None:
    """Single orders and lists that are read, with nothing written."""
    with stage.new_system("command-service", "projector", "query-service") as system:
        fill_and_relay(system, backlog)
        _project(system)
        with stage.paused(system, "command-service", "relay", "projector"):
            for path in ("/orders/1", LIST):
                rates = _Rates(report, f"GET {path} by query-service", "/s")
                for number in range(1, most + 1):
                    with _more(system, "query-service", number) as systems:
                        urls = [each.queries.url for each in systems]
                        rates.measure(number, partial(_load, urls, _ask(path), seconds))


def _ask(path: str) -> Callable[[str], NextRequest]:
    def next_request(url: str) -> NextRequest:
        one = request(url, "GET", path)
        return lambda: one

    return next_request


def _everything(report: Report, stage: Stage, most: int, seconds: float) -> None:
    """Orders accepted, and events that became readable meanwhile, with so many of everything."""
    accepted = _Rates(report, "orders accepted by everything", "/s")
    for number in range(1, most + 1):
        with stage.new_system() as system, ExitStack() as running:
            open_shop(system)
            _project(system)
            # A second relay only stands by, and is not ready until it takes over.
            for name in ("projector", "query-service"):
                wanted = min(number, LANES) if name == "projector" else number
                running.enter_context(_more(system, name, wanted))
            systems = running.enter_context(_more(system, "command-service", number))
            urls, before = [each.commands.url for each in systems], projected(system)
            began = time.monotonic()
            accepted.measure(number, partial(_load, urls, orders, seconds))
            rate = (projected(system) - before) / (time.monotonic() - began)
            what = f"events readable meanwhile, {number} of everything"
            report.add(Figure("scale", what, rate, "/s"))


def _project(system: System) -> float:
    """Wait until all is readable; return how many events a second became so."""
    return backlog_rate(lambda: projected(system), system.written(), WAIT_SECONDS)


if __name__ == "__main__":
    main()
