"""`make bench`: measure everything, print the table, write JSON, Markdown and a picture."""

import argparse
import json
import time
from pathlib import Path

from benchmarks import (
    ceiling,
    chart,
    lists,
    orders,
    overload,
    projecting,
    queries,
    relaying,
    sustained,
    visible,
)
from benchmarks.figures import Figure, Report, machine, row
from benchmarks.filled import two_shops
from benchmarks.stage import OURS, Stage

PARTS = ("orders", "overload", "visible", "sustained", "backlog", "queries", "lists")
BACKLOG, QUICK_BACKLOG = 500_000, 12_000
SIZES, QUICK_SIZES = (1_000, 500_000), (1_000, 5_000)
ROUNDS, QUICK_ROUNDS = 5, 2
# The projector's share of the large backlog would take longer than the whole run may.
PROJECTED = 40_000
LIMIT_SECONDS, QUICK_LIMIT_SECONDS = 1_800.0, 240.0


def main() -> None:
    """Run the parts that were asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("parts", nargs="*", default=PARTS)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--out", type=Path, default=Path("build/bench"))
    chosen = arguments.parse_args()
    report, began = Report(machine()), time.monotonic()
    try:
        _measure(report, chosen.parts, is_quick=chosen.quick)
    finally:
        took = time.monotonic() - began
        report.notes.append(f"took {took:.0f} s")
        limit = QUICK_LIMIT_SECONDS if chosen.quick else LIMIT_SECONDS
        report.add(Figure("all of it", "from the start to the table", took, "s", limit, True))
        report.show()
        _write(report, chosen.out)


def _measure(report: Report, parts: tuple[str, ...], *, is_quick: bool) -> None:
    seconds = 2.0 if is_quick else 15.0
    ceiling.measure(report, seconds / 2)
    with Stage() as stage:
        report.machine["mongodb"] = stage.mongodb()
        if "orders" in parts:
            orders.measure(report, stage, seconds)
        if "overload" in parts:
            overload.measure(report, stage, seconds / 2)
        if "visible" in parts:
            visible.measure(report, stage, seconds)
        if "sustained" in parts:
            sustained.measure(report, stage, is_quick=is_quick)
        if "backlog" in parts:
            with stage.new_system("command-service") as system:
                events = QUICK_BACKLOG if is_quick else PROJECTED
                relaying.fill_and_relay(system, events)
                projecting.measure(report, stage, system)
            with stage.new_system("command-service") as system:
                relaying.measure(report, stage, system, QUICK_BACKLOG if is_quick else BACKLOG)
        if {"queries", "lists"}.intersection(parts):
            sizes = QUICK_SIZES if is_quick else SIZES
            with two_shops(stage, sizes, report.notes) as (few, many, use):
                if "queries" in parts:
                    queries.measure(report, few, many, seconds / 3)
                if "lists" in parts:
                    lists.measure(report, few, many, QUICK_ROUNDS if is_quick else ROUNDS)
            report.note_use("reads", use.cpu_percent, use.memory_mb)
    for name in OURS if report.use else ():
        most = report.most_memory(name)
        report.add(Figure("memory", f"{name}, most of all parts", most, "MB", 150, True))


def _write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(report.as_json(), indent=1), "utf-8")
    (folder / "bench.svg").write_text(chart.draw(report), "utf-8")
    head = "| figure | value | goal | met | ceiling in this run | share of it |"
    lines = [head, "|---" * 6 + "|"]
    lines += ["| " + " | ".join(row(figure)) + " |" for figure in report.figures]
    for what, use in report.use.items():
        head = "| process | CPU, % of a core | most memory, MB | ready without a core, % |"
        lines += ["", f"{what}:", "", head, "|---|---|---|---|"]
        for name, percent in use["cpu"].items():
            waited = f"{use['waiting'][name]:.0f}" if "waiting" in use else ""
            lines.append(f"| {name} | {percent:.0f} | {use['memory'][name]:.0f} | {waited} |")
    if report.lists:
        lines += ["", "| list | few, ms | many, ms | times |", "|---|---|---|---|"]
        lines += ["| {page} | {few_ms:.1f} | {many_ms:.1f} | {times:.2f} |".format(**page)
                  for page in report.lists]  # fmt: skip
    (folder / "bench.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
