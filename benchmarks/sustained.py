"""How many orders a second become readable as fast as they are accepted, for minutes?

The highest even rate at which the p99 from the 201 to being readable stays under a second, and the
lag at the end is no larger than at the start: searched with short tries, then held for a minute,
twice, in a new shop.
"""

import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.figures import Figure, Report
from benchmarks.pace import Paced, run_paced
from benchmarks.projecting import projected
from benchmarks.shop import open_shop, orders
from benchmarks.stage import Stage
from support.system import System

FIRST_RATE, MAX_RATE = 150.0, 6_000.0
# What one machine of two cores is to reach, on the embedded Python server and on others.
PYTHON_GOAL, GOAL = 450, 1_100
# The search ends when the rates that held and did not are so close, or after so many tries.
CLOSE, MAX_TRIES = 1.06, 12
# So often a lower rate is tried for the whole time; each takes more than two minutes.
MAX_HOLDS = 4
P99_MS = 1_000.0
READABLE_WITHIN_SECONDS = 300.0
LAG_SAMPLE_SECONDS = 0.5
# A lag of less is none: what a batch has, and what a look at two clocks apart differs by.
NO_LAG_SECONDS = 0.5
EVENTS_AN_ORDER = 4


@dataclass
class Try:
    """One rate for some time: whether it held, and why not."""

    rate: float
    outcome: Paced
    lags: list[float]
    batch_events: float
    batch_ms: float

    @property
    def lag_grew(self) -> bool:
        """Whether more was behind in the last fifth than in the first one, in seconds."""
        fifth = max(1, len(self.lags) // 5)
        first, last = (statistics.median(part) for part in (self.lags[:fifth], self.lags[-fifth:]))
        return last > max(first, NO_LAG_SECONDS)

    @property
    def verdict(self) -> str:
        """What kept the rate from being sustained, as far as this try shows; or `holds`."""
        outcome = self.outcome
        if set(outcome.statuses) != {201} or set(outcome.reads) != {200}:
            return f"does not hold: statuses {dict(outcome.statuses)}, {dict(outcome.reads)}"
        if outcome.late > 0.01 * sum(outcome.statuses.values()):
            return f"does not hold: {outcome.late} orders found all connections taken"
        if len(outcome.readable) <= 5 or outcome.percentile_ms(0.99) > P99_MS:
            return f"does not hold: readable after {outcome.percentile_ms(0.99):,.0f} ms, p99"
        return "does not hold: the lag grew" if self.lag_grew else "holds"

    @property
    def held(self) -> bool:
        """Whether the rate was sustained."""
        return self.verdict == "holds"


def measure(report: Report, stage: Stage, *, is_quick: bool) -> None:
    """Find the rate, hold it in a new shop, and say what each process uses at it."""
    seconds = 4.0 if is_quick else 20.0
    with _opened(stage) as system:
        rate = _search(system, seconds / 4, seconds)
    found = f"orders accepted and readable, for {seconds:.0f} s"
    report.add(Figure("sustained", found, rate, "/s"))
    # A new one, since a MongoDB server needs more for an order the more orders it has.
    with _opened(stage) as system:
        held = _hold(report, stage, system, rate, *((1.0, 8.0) if is_quick else (10.0, 60.0)))
    what = "orders accepted and readable, for a minute, twice"
    goal = PYTHON_GOAL if "secantus" in stage.mongodb() and "rs" not in stage.mongodb() else GOAL
    if held is None:
        report.add(Figure("sustained", what, 0.0, "/s", goal))
        return
    report.add(
        Figure("sustained", what, held.rate, "/s", goal),
        Figure("sustained", "from the 201 to readable at it, p50", _ms(held, 0.5), "ms"),
        Figure(
            "sustained", "from the 201 to readable at it, p99", _ms(held, 0.99), "ms", P99_MS, True
        ),
        Figure("sustained", "events in a batch of the projector at it", held.batch_events, ""),
        Figure("sustained", "until such a batch is written", held.batch_ms, "ms"),
    )


@contextmanager
def _opened(stage: Stage) -> Iterator[System]:
    with stage.new_system() as system:
        open_shop(system)
        _wait_projected(system)
        yield system


def _ms(held: Try, share: float) -> float:
    return held.outcome.percentile_ms(share)


def _search(system: System, warm_up: float, seconds: float) -> float:
    """Return the highest rate that holds for a short time, 0 where none does."""
    low, high, rate = 0.0, MAX_RATE, FIRST_RATE
    for _ in range(MAX_TRIES):
        if _try(system, rate, warm_up, seconds).held:
            low = rate
        else:
            high = rate
        if low and high / low <= CLOSE:
            break
        rate = _between(low, high)
    return low


def _between(low: float, high: float) -> float:
    """Return the next rate to try: doubled or halved as long as one end is not known."""
    if not low:
        return high / 2
    return 2 * low if high == MAX_RATE else (low * high) ** 0.5


def _hold(
    report: Report, stage: Stage, system: System, rate: float, warm_up: float, seconds: float
) -> Try | None:
    """Return the first of two tries in a row that both hold, of this rate or of a lower one."""
    for _ in range(MAX_HOLDS if rate else 0):
        with stage.using(system) as use:
            first = _try(system, rate, warm_up, seconds)
        if first.held and _try(system, rate, warm_up, seconds).held:
            report.note_use(
                "the sustained rate", use.cpu_percent, use.memory_mb, use.waiting_percent
            )
            return first
        rate /= CLOSE
    return None


def _try(system: System, rate: float, warm_up: float, seconds: float) -> Try:
    """Place orders at the rate, then wait until all of it is readable."""
    lags, is_over = list[float](), threading.Event()
    before = _batches(system)

    def look() -> None:
        is_over.wait(warm_up)
        while not is_over.wait(LAG_SAMPLE_SECONDS):
            behind = system.written() - projected(system)
            lags.append(max(0, behind) / (EVENTS_AN_ORDER * rate))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        commands, queries = system.commands.url, system.queries.url
        outcome = run_paced(commands, queries, orders(commands), rate, warm_up, seconds)
    finally:
        is_over.set()
        looking.join()
    number, events, wrote = (now - then for now, then in zip(_batches(system), before, strict=True))
    number = max(1.0, number)
    tried = Try(rate, outcome, lags, events / number, 1_000 * wrote / number)
    print(f"  {rate:,.0f}/s {tried.verdict}", flush=True)
    _wait_projected(system)
    return tried


def _batches(system: System) -> tuple[float, float, float]:
    """Return the projector's counts so far: batches, events in them, and seconds of writing."""
    with urllib.request.urlopen(f"{system.url('projector')}/metrics", timeout=10) as reply:
        lines = [line.rsplit(" ", 1) for line in reply.read().decode().splitlines()]
    found = {name: value for name, value in lines if name.startswith("storelog_projector_")}
    names = ("batch_events_count", "batch_events_sum", "write_seconds_sum")
    number, events, wrote = (float(found[f"storelog_projector_{name}"]) for name in names)
    return number, events, wrote


def _wait_projected(system: System) -> None:
    give_up_at = time.monotonic() + READABLE_WITHIN_SECONDS
    while projected(system) < system.written():
        assert time.monotonic() < give_up_at, "the read model does not come"
        threading.Event().wait(0.2)
