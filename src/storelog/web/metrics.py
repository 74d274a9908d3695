"""Prometheus metrics of this process: plain numbers, counted where things happen, read on a scrape.

Counting costs an addition: a child of a family is bound once (`family.of(...)`), has no lock and is
written by one thread. prometheus-client makes the text format and the process's own metrics.
Next: web/app.py
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from storelog import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0)


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, number: float = 1) -> None:
        """Count `number` more."""
        self.value += number


class Gauge:
    """A number that goes up and down: set, or read by a function on each scrape."""

    __slots__ = ("read",)

    def __init__(self) -> None:
        self.read: Callable[[], float] | None = None

    def set(self, number: float) -> None:
        """Set the gauge to `number`."""
        self.read = lambda: number

    def clear(self) -> None:
        """Leave the gauge out of scrapes, since its value is not known now."""
        self.read = None


class Histogram:
    """How often a value fell into each bucket, and the sum of all."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Take note of one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Observe the seconds that the block takes, unless it raises."""
        began = time.perf_counter()
        yield
        self.observe(time.perf_counter() - began)


Child = TypeVar("Child", bound=Counter | Gauge | Histogram)


class Family(Generic[Child]):
    """One metric name: its help text, its labels, and a child for each set of label values."""

    def __init__(
        self, kind: str, name: str, about: str, labels: tuple[str, ...], make: Callable[[], Child]
    ) -> None:
        self.kind, self.name, self.about, self.labels = kind, name, about, labels
        self._make = make
        self._children: dict[tuple[str, ...], Child] = {}
        _families[name] = self  # type: ignore[assignment]

    def of(self, *values: str) -> Child:
        """Return the child of these label values: bind it once, outside of any loop."""
        child = self._children.get(values)
        if child is None:
            assert len(values) == len(self.labels), f"{self.name} has the labels {self.labels}"
            child = self._children[values] = self._make()
        return child

    def children(self) -> list[tuple[tuple[str, ...], Child]]:
        """Return what was counted so far, by label values."""
        return list(self._children.items())

    def forget(self) -> None:
        """Drop every child, when the label values no longer concern this process."""
        self._children.clear()


AnyFamily = Family[Counter] | Family[Gauge] | Family[Histogram]
_families: dict[str, AnyFamily] = {}


def counter(name: str, about: str, labels: tuple[str, ...] = ()) -> Family[Counter]:
    """Declare a counter; its name ends in `_total`."""
    return Family("counter", name, about, labels, Counter)


def gauge(name: str, about: str, labels: tuple[str, ...] = ()) -> Family[Gauge]:
    """Declare a gauge."""
    return Family("gauge", name, about, labels, Gauge)


def histogram(
    name: str, about: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = SECONDS
) -> Family[Histogram]:
    """Declare a histogram; its name ends in its unit."""
    return Family("histogram", name, about, labels, lambda: Histogram(bounds))


def declared() -> Iterable[AnyFamily]:
    """Return every family that the modules imported so far declare."""
    return list(_families.values())


class _Plain(Collector):
    """Hands the plain numbers to prometheus-client."""

    def collect(self) -> Iterator[Metric]:
        for family in declared():
            yield _metric(family)

    def describe(self) -> Iterator[Metric]:
        """Describe nothing in advance, since modules that are imported later declare more."""
        return iter(())


def _metric(family: AnyFamily) -> Metric:
    if family.kind == "counter":
        counted = CounterMetricFamily(family.name, family.about, labels=family.labels)
        for labels, child in family.children():
            assert isinstance(child, Counter)
            counted.add_metric(labels, child.value)
        return counted
    if family.kind == "gauge":
        measured = GaugeMetricFamily(family.name, family.about, labels=family.labels)
        for labels, child in family.children():
            assert isinstance(child, Gauge)
            if child.read is not None:
                measured.add_metric(labels, child.read())
        return measured
    spread = HistogramMetricFamily(family.name, family.about, labels=family.labels)
    for labels, child in family.children():
        assert isinstance(child, Histogram)
        names = [*(str(bound) for bound in child.bounds), "+Inf"]
        upto = accumulate(child.counts)
        spread.add_metric(labels, list(zip(names, upto, strict=True)), child.sum)
    return spread


BUILD = gauge("storelog_build_info", "Always 1; the label says which version runs.", ("version",))
BUILD.of(__version__).set(1)
_registry = CollectorRegistry()
_registry.register(_Plain())
ProcessCollector(registry=_registry)


def exposition() -> bytes:
    """Return all metrics of this process in Prometheus's text format."""
    return generate_latest(_registry)
