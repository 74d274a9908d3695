"""Metrics: plain numbers that come out in Prometheus's text format, and cost next to nothing."""

import timeit
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from storelog.errors import Conflict, NotFound
from storelog.web import metrics, request_metrics
from storelog.web.http import Operation, Response, Route
from storelog.web.problems import render

FRUIT = metrics.counter("test_fruit_total", "Fruit eaten.", ("kind",))
DEPTH = metrics.gauge("test_depth_metres", "How deep.")
SPELL = metrics.histogram("test_spell_seconds", "How long.", bounds=(1.0, 2.0))


def samples() -> dict[tuple[str, tuple[str, ...]], float]:
    text = metrics.exposition().decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_add_up_by_label() -> None:
    FRUIT.of("pear").add()
    FRUIT.of("pear").add(2)
    FRUIT.of('a "b"\n').add()
    found = samples()
    assert found["test_fruit_total", ("pear",)] == 3
    assert found["test_fruit_total", ('a "b"\n',)] == 1


def test_a_gauge_says_nothing_while_nothing_is_known() -> None:
    depth = DEPTH.of()
    assert ("test_depth_metres", ()) not in samples()
    depth.set(4.5)
    assert samples()["test_depth_metres", ()] == 4.5
    depth.read = lambda: 7
    assert samples()["test_depth_metres", ()] == 7
    depth.clear()
    assert ("test_depth_metres", ()) not in samples()


def test_a_histogram_counts_a_value_at_its_bound_and_all_below() -> None:
    for value in (0.5, 1.0, 1.5, 9.0):
        SPELL.of().observe(value)
    found = samples()
    buckets = [found["test_spell_seconds_bucket", (bound,)] for bound in ("1.0", "2.0", "+Inf")]
    assert buckets == [2, 3, 4]
    assert found["test_spell_seconds_count", ()] == 4
    assert found["test_spell_seconds_sum", ()] == 12


def test_the_processs_own_metrics_are_there() -> None:
    names = {name for name, _ in samples()}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= names


def test_names_follow_the_conventions() -> None:
    for family in metrics.declared():
        if family.name.startswith("storelog_"):
            assert (family.kind == "counter") == family.name.endswith("_total"), family.name
            assert family.about.endswith("."), family.name


async def _nobody(_request: object) -> Response:
    return Response(200)


def test_requests_count_by_template_and_rejections_by_slug() -> None:
    route = Route("GET", "/orders/{orderId}", "read", _nobody, Operation(""))
    before = samples()
    request_metrics.count(route, Response(200, b"{}"), 0.003)
    request_metrics.count(route, render(NotFound(), "/orders/7", "c"), 0.001)
    request_metrics.count(None, render(NotFound(), "/%2e%2e/etc", "c"), 0.001)
    refusal = Conflict("insufficient-stock", "no", {"products": []})
    request_metrics.count(route, render(refusal, "/orders", "c"), 0.001)
    after = samples()

    def more(name: str, *labels: str) -> float:
        return after.get((name, labels), 0) - before.get((name, labels), 0)

    seconds = "storelog_http_request_duration_seconds_count"
    assert more(seconds, "GET", "/orders/{orderId}", "200") == 1
    assert more(seconds, "none", "none", "404") == 1
    assert more("storelog_http_refusals_total", "not-found") == 2
    assert more("storelog_http_refusals_total", "insufficient-stock") == 1


def test_counting_a_request_costs_less_than_one_labelled_observation() -> None:
    route = Route("POST", "/orders", "write", _nobody, Operation(""))
    response = Response(201, b"{}")
    theirs = Histogram("theirs_seconds", "t", ("m", "r", "s"), registry=CollectorRegistry())

    def least(work: Callable[[], None]) -> float:
        return min(timeit.repeat(work, number=5_000, repeat=5))

    own = least(lambda: request_metrics.count(route, response, 0.003))
    assert own < least(lambda: theirs.labels("POST", "/orders", "201").observe(0.003))
