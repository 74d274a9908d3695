"""The Grafana dashboard, the alert rules and the page of metrics name what there is."""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from generate import grafana, metrics
from generate.__main__ import ROOT
from storelog.cli.up import up
from storelog.local.servers import PROCESSES

FOLDER = ROOT / "deploy" / "observability"
OWN = re.compile(r"\b(?:storelog|process)_[a-z_]+")
FROM_PROMETHEUS = {"up"}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_queries() -> Iterator[str]:
    dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


@pytest.mark.parametrize("query", [*dashboard_queries(), *(rule["expr"] for rule in alerts())])
def test_every_metric_of_a_query_exists(query: str) -> None:
    named = set(OWN.findall(query)) - FROM_PROMETHEUS
    assert named <= metrics.samples()
    assert named or "up{" in query
    assert query.count("(") == query.count(")")


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    shown = " ".join([*dashboard_queries(), *(rule["expr"] for rule in alerts())])
    ends = r"(_bucket|_sum|_count)$"
    named = {re.sub(ends, "", name) for name in OWN.findall(shown)}
    assert set(metrics.families()) - named == {
        "storelog_build_info",
        "storelog_relay_batch_events",
        "storelog_projector_batch_events",
        "storelog_projector_position",
        "storelog_relay_lag_events",
        "storelog_projector_lag_events",
        "storelog_read_dead_letters",
    }


def test_labels_of_the_queries_are_the_metrics_own() -> None:
    known = {label for family in metrics.families().values() for label in family.labels}
    known |= {"le", "job", "instance"}
    for query in [*dashboard_queries(), *(rule["expr"] for rule in alerts())]:
        for group in re.findall(r"\bby \(([^)]*)\)", query):
            assert {label.strip() for label in group.split(",")} <= known, query


def test_every_alert_says_what_is_wrong_and_the_page_what_to_do() -> None:
    page = (ROOT / "docs" / "observability.md").read_text("utf-8")
    for rule in alerts():
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["alert"] in page, rule["alert"]


def test_panels_do_not_lie_on_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in grafana.dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_prometheus_scrapes_each_process_on_the_port_that_up_gives_it() -> None:
    configured = yaml.safe_load((FOLDER / "prometheus.yaml").read_text("utf-8"))["scrape_configs"]
    options = inspect.signature(up).parameters
    ports = {name: options[f"{name.removesuffix('-service')}_port"].default for name in PROCESSES}
    assert configured == [
        {"job_name": f"storelog-{name}", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for name, port in sorted(ports.items(), key=lambda each: each[1])
    ]
