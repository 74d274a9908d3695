"""The reference of metrics, from the families that the four processes declare."""

import importlib

from storelog.web import metrics

# Importing a process's wiring declares everything that it counts.
for _process in ("command_service", "relay", "projector", "query_service"):
    importlib.import_module(f"storelog.{_process}.app")

# The process that shows a metric is the word after `storelog_`.
ROOMS = {
    "Both services and both workers": ("http", "server", "build", "clock"),
    "Command Service": ("commands", "command", "batch", "log", "idempotency"),
    "Relay": ("relay",),
    "Projector": ("projector",),
    "Query Service": ("read",),
}
_HEAD = """# Metrics

`GET /metrics` of each process, in Prometheus's text format, for a key of the role `read`. Metrics
that need another server (positions, lag) are read at most once a second, when they are requested,
and left out while that server is away. Beside these, each process has `process_*` (memory, CPU
time, files). [observability.md](observability.md) says what to watch. This page is made by
`make generate`.
"""


def families() -> dict[str, metrics.AnyFamily]:
    """Return every family that a process declares, by name."""
    return {
        family.name: family for family in metrics.declared() if family.name.startswith("storelog_")
    }


def samples() -> set[str]:
    """Return every name of a sample that `/metrics` can show."""
    ends = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    found = {f.name + end for f in families().values() for end in ends[f.kind]}
    text = metrics.exposition().decode()
    return found | {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def page() -> str:
    """Return the page of all metrics, by the process that shows them."""
    rooms = {word: title for title, words in ROOMS.items() for word in words}
    parts = [_HEAD]
    for title in ROOMS:
        rows = [
            f"| `{family.name}` | {family.kind} | {_labels(family)} | {family.about} |"
            for family in families().values()
            if rooms[family.name.split("_")[1]] == title
        ]
        parts.append(f"\n## {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
        parts.append("\n".join(rows) + "\n")
    return "".join(parts)


def _labels(family: metrics.AnyFamily) -> str:
    return ", ".join(f"`{label}`" for label in family.labels)
