"""What a run measured: figures with their goals and ceilings, as a table and as JSON."""

import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured value. `goal` is a least value, or a most value where less is better.

    `ceiling` is what the same machine reached in the same run without Storelog's own part.
    """

    group: str
    name: str
    value: float
    unit: str
    goal: float | None = None
    is_less_better: bool = False
    ceiling: float | None = None
    ceiling_of: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.is_less_better else self.value >= self.goal

    @property
    def ratio(self) -> float | None:
        """The value as a share of its ceiling."""
        return self.value / self.ceiling if self.ceiling else None


@dataclass
class Report:
    """All figures of a run, and what each process used in each part of it.

    `lists`: each page of each list, the milliseconds of it in both shops, and how many times as
    long it takes in the second.
    """

    machine: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    use: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lists: list[dict[str, Any]] = field(default_factory=list)

    def add(self, *figures: Figure) -> None:
        """Take in figures, and show them."""
        self.figures += figures
        for figure in figures:
            print(f"  {figure.name}: {_number(figure.value)} {figure.unit}", flush=True)

    def note_use(
        self,
        what: str,
        cpu: dict[str, float],
        memory: dict[str, float],
        waiting: dict[str, float] | None = None,
    ) -> None:
        """Keep what each process used in one part: percent of a core, and the most MB.

        `waiting`: for how long its threads were ready and had no core, in percent of the time.
        """
        self.use[what] = {"cpu": cpu, "memory": memory} | ({"waiting": waiting} if waiting else {})

    def most_memory(self, name: str) -> float:
        """Return the most MB that a process had in any part."""
        return max((use["memory"].get(name, 0.0) for use in self.use.values()), default=0.0)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON shows it."""
        return {
            "machine": self.machine,
            "figures": [
                {**asdict(figure), "ratio": figure.ratio, "met": figure.is_met}
                for figure in self.figures
            ],
            "use": self.use,
            "lists": self.lists,
            "notes": self.notes,
        }

    def show(self) -> None:
        """Print the table."""
        table = Table("figure", "value", "goal", "met", "ceiling in this run", "share of it")
        for figure in self.figures:
            table.add_row(*row(figure))
        Console(width=150).print(table)


def row(figure: Figure) -> tuple[str, str, str, str, str, str]:
    """Return a figure's cells."""
    sign = "at most" if figure.is_less_better else "at least"
    ceiling = "" if figure.ceiling is None else f"{_number(figure.ceiling)} {figure.ceiling_of}"
    return (
        f"{figure.group}: {figure.name}",
        f"{_number(figure.value)} {figure.unit}",
        "" if figure.goal is None else f"{sign} {_number(figure.goal)}",
        {None: "", True: "yes", False: "no"}[figure.is_met],
        ceiling,
        "" if figure.ratio is None else f"{figure.ratio:.0%}",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def machine() -> dict[str, Any]:
    """Return what a run was on: cores, memory, releases, and how busy it was before."""
    names = ("asyncpg", "confluent-kafka", "pymongo", "uvicorn", "uvloop", "msgspec", "secantusdb")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in names},
        "load_before": os.getloadavg()[0],
    }
