"""The Grafana dashboard: rows of panels, each one question and the PromQL for it."""

from dataclasses import dataclass
from typing import Any

_RATE = "[$__rate_interval]"
_SECONDS = "storelog_http_request_duration_seconds"


@dataclass(frozen=True)
class Panel:
    """One graph: its title, its unit as Grafana names it, and a query for each legend."""

    title: str
    unit: str
    queries: dict[str, str]


def _quantile(part: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({part}, sum by (le{by}) (rate({metric}_bucket{_RATE})))"


def _mean(metric: str, by: str = "") -> str:
    return f"sum{by} (rate({metric}_sum{_RATE})) / sum{by} (rate({metric}_count{_RATE}))"


ROWS: dict[str, list[Panel]] = {
    "Is it well?": [
        Panel(
            "Events between the log and the responses",
            "short",
            {"behind": "max(storelog_log_position) - min(storelog_read_position)"},
        ),
        Panel(
            "Lag",
            "s",
            {
                "log to Kafka": "max(storelog_relay_lag_seconds)",
                "Kafka to MongoDB, lane {{lane}}": "max by (lane) (storelog_projector_lag_seconds)",
            },
        ),
        Panel(
            "Dead letters",
            "short",
            {"lane {{lane}}": "max by (lane) (storelog_projector_dead_letters)"},
        ),
        Panel(
            "Server errors",
            "ops",
            {"{{job}}": f"sum by (job) (rate(storelog_server_errors_total{_RATE}))"},
        ),
    ],
    "Requests": [
        Panel(
            "Requests a second",
            "reqps",
            {"{{method}} {{route}}": f"sum by (method, route) (rate({_SECONDS}_count{_RATE}))"},
        ),
        Panel(
            "Response time",
            "s",
            {
                "half": _quantile(0.5, _SECONDS),
                "95 %": _quantile(0.95, _SECONDS),
                "99 %": _quantile(0.99, _SECONDS),
            },
        ),
        Panel(
            "Problems by slug",
            "ops",
            {"{{slug}}": f"sum by (slug) (rate(storelog_http_refusals_total{_RATE}))"},
        ),
        Panel(
            "Commands",
            "ops",
            {
                "{{command}} {{outcome}}": (
                    f"sum by (command, outcome) (rate(storelog_commands_total{_RATE}))"
                )
            },
        ),
    ],
    "Batches": [
        Panel(
            "Commands waiting, keys remembered",
            "short",
            {
                "{{instance}}": "storelog_command_queue_length",
                "keys": "max(storelog_idempotency_keys)",
                "bytes of keys": "max(storelog_idempotency_keys_bytes)",
                "keys removed a second": (
                    f"sum (rate(storelog_idempotency_keys_removed_total{_RATE}))"
                ),
            },
        ),
        Panel(
            "Wait in the queue",
            "s",
            {"95 %": _quantile(0.95, "storelog_command_queue_wait_seconds")},
        ),
        Panel(
            "Size of a batch",
            "short",
            {
                "commands": _mean("storelog_batch_commands"),
                "events": _mean("storelog_batch_events"),
            },
        ),
        Panel(
            "Parts of a batch",
            "s",
            {
                "{{part}}": _mean("storelog_batch_part_seconds", " by (part)"),
                "conflicts a second": f"sum (rate(storelog_batch_conflicts_total{_RATE}))",
                "stamped again": f"sum (rate(storelog_batch_stamps_refused_total{_RATE}))",
                "divided a second": f"sum (rate(storelog_batch_divisions_total{_RATE}))",
                "handed to the leader": f"sum (rate(storelog_commands_handed_on_total{_RATE}))",
                "taken back": f"sum (rate(storelog_commands_taken_back_total{_RATE}))",
                "leaders": "sum(storelog_commands_lead)",
                "failed alone: {{command}}": (
                    f"sum by (command) (rate(storelog_commands_failed_alone_total{_RATE}))"
                ),
            },
        ),
    ],
    "From the log to the read model": [
        Panel(
            "Positions",
            "short",
            {
                "written": "max(storelog_log_position)",
                "relayed": "max(storelog_relay_position)",
                "projected": "min(storelog_projector_safe_position)",
                "read": "min(storelog_read_position)",
            },
        ),
        Panel(
            "Events a second",
            "ops",
            {
                "relayed": f"sum(rate(storelog_relay_events_total{_RATE}))",
                "projected": f"sum(rate(storelog_projector_events_total{_RATE}))",
            },
        ),
        Panel(
            "Time of a batch",
            "s",
            {
                "acknowledged by Kafka": _mean("storelog_relay_publish_seconds"),
                "written in MongoDB": _mean("storelog_projector_write_seconds"),
            },
        ),
        Panel(
            "Begun again, and waiting for a record",
            "short",
            {
                "relay": f"sum(rate(storelog_relay_retries_total{_RATE}))",
                "projector": f"sum(rate(storelog_projector_retries_total{_RATE}))",
                "waiting, lane {{lane}}": "max by (lane) (storelog_projector_waiting_records)",
            },
        ),
    ],
    "Processes": [
        Panel("Memory", "bytes", {"{{job}} {{instance}}": "process_resident_memory_bytes"}),
        Panel(
            "Processor",
            "percentunit",
            {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{_RATE})"},
        ),
        Panel(
            "Open files and streams",
            "short",
            {
                "files, {{job}} {{instance}}": "process_open_fds",
                "streams, {{job}} {{instance}}": "storelog_http_streams",
            },
        ),
        Panel(
            "Active relays",
            "short",
            {
                "active": "sum(storelog_relay_active)",
                "projectors ready": "sum(storelog_projector_ready)",
            },
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it; it asks for its Prometheus."""
    panels: list[dict[str, Any]] = []
    for row, (title, graphs) in enumerate(ROWS.items()):
        top = row * 9
        panels.append(_row(len(panels), title, top))
        for column, graph in enumerate(graphs):
            panels.append(_graph(len(panels), graph, column * 6, top + 1))
    return {
        "title": "Storelog",
        "uid": "storelog",
        "schemaVersion": 39,
        "tags": ["storelog"],
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "15s",
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus"}],
        },
        "panels": panels,
    }


def _row(number: int, title: str, top: int) -> dict[str, Any]:
    place = {"x": 0, "y": top, "w": 24, "h": 1}
    return {"id": number + 1, "type": "row", "title": title, "gridPos": place, "panels": []}


def _graph(number: int, graph: Panel, left: int, top: int) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": graph.title,
        "datasource": source,
        "gridPos": {"x": left, "y": top, "w": 6, "h": 8},
        "fieldConfig": {"defaults": {"unit": graph.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": source, "expr": expr, "legendFormat": legend}
            for i, (legend, expr) in enumerate(graph.queries.items())
        ],
    }
