"""Does any process grow? Full load again and again, and each process' memory all the while.

    make bench-memory MINUTES=60

Orders come for a few seconds as fast as they are taken; then they are projected at full speed while
reads go on; then the next come. Some 7 million events an hour, for which 30 GB of disk are needed.
"""

import argparse
import statistics
import sys
import threading
import time
from collections import defaultdict

import psutil

from benchmarks.load import request, run_load
from benchmarks.shop import open_shop, orders
from benchmarks.stage import MB, Stage
from support.system import System

BURST_SECONDS, READ_SECONDS = 6.0, 3.0
CONNECTIONS = 64
SAMPLE_SECONDS = 5.0
PROJECTED_SECONDS = 600.0
PATHS = ("/orders/5", "/products?limit=50", "/orders?limit=50", "/analytics/product-totals")
MOMENTS = ("", "asOf=3000")


class Watch:
    """Samples of each process' resident memory (MB) and descriptors, while it is a context."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self._processes = processes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.samples: dict[str, list[tuple[float, int]]] = defaultdict(list)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            for name, process in self._processes.items():
                rss = process.memory_info().rss / MB
                self.samples[name].append((rss, process.num_fds()))

    def show(self) -> None:
        """Print for each process the median of each sixth of the time, and the most."""
        for name, samples in self.samples.items():
            size = max(1, len(samples) // 6)
            parts = [samples[at : at + size] for at in range(0, 6 * size, size)]
            medians = [statistics.median(rss for rss, _ in part) for part in parts if part]
            texts = " ".join(f"{median:6.0f}" for median in medians)
            most = max(rss for rss, _ in samples)
            descriptors = max(fds for _, fds in samples)
            sys.stdout.write(f"{name:16} {texts}  most {most:6.0f} MB, {descriptors} files\n")
        sys.stdout.flush()


def main() -> None:
    """Load for the minutes that were asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=60.0)
    until = time.monotonic() + 60 * arguments.parse_args().minutes
    with Stage() as stage, stage.new_system() as system:
        open_shop(system)
        system.wait_projected()
        rounds = accepted = 0
        with Watch(stage.processes(system)) as watch:
            try:
                while time.monotonic() < until:
                    accepted += _round(system)
                    rounds += 1
            finally:
                written = system.written()
                sys.stdout.write(f"{rounds} rounds, {accepted:,} orders, {written:,} events\n")
                watch.show()


def _round(system: System) -> int:
    """Place orders, read, and wait until all is projected; return how many were accepted."""
    url = system.commands.url
    outcome = run_load(url, orders(url), CONNECTIONS, BURST_SECONDS)
    assert set(outcome.statuses) == {201}, outcome.statuses
    written, queries = system.written(), system.queries.url
    reads = [
        request(queries, "GET", f"{path}{'&' if '?' in path else '?'}{moment}".rstrip("?&"))
        for path in PATHS
        for moment in MOMENTS
    ]
    turn = iter(range(10**9))
    read = run_load(queries, lambda: reads[next(turn) % len(reads)], 2, READ_SECONDS)
    # Beside other work a busy MongoDB server may not answer in time.
    assert set(read.statuses) <= {200, 503}, read.statuses
    give_up_at = time.monotonic() + PROJECTED_SECONDS
    position = 0
    while position < written:
        assert time.monotonic() < give_up_at, f"the projector is at {position} of {written}"
        threading.Event().wait(0.5)
        reply = system.queries.get("/analytics/total-sales")
        assert reply.status in {200, 503}, reply
        position = reply.position if reply.status == 200 else position
    return outcome.statuses[201]


if __name__ == "__main__":
    main()
