"""`make bench-compare`: two runs of `make bench` side by side, as Markdown.

Compare runs of one machine and one hour only. A list's page that the earlier run did not read says
so; a figure that it did not measure is left empty.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, row

Run = dict[str, Any]
NOTHING = "not measured"


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("before", type=Path)
    arguments.add_argument("after", type=Path)
    chosen = arguments.parse_args()
    for path in (chosen.before, chosen.after):
        if not path.is_file():
            arguments.error(f"{path} is no file; make bench writes build/bench/bench.json")
    before, after = (json.loads(path.read_text("utf-8")) for path in (chosen.before, chosen.after))
    for table in (figures, use, lists):
        print("\n".join(table(before, after)), end="\n\n")


def figures(before: Run, after: Run) -> Iterator[str]:
    """Yield each figure of both runs, with the goal and the ceiling of the later one."""
    then = {figure.name: figure for figure in _read(before)}
    yield _line("figure", "before", "after", "goal", "met", "ceiling beside it, after", "share")
    yield "|---" * 7 + "|"
    for figure in _read(after):
        name, value, *others = row(figure)
        # How many pages a list has been read by, and which was the worst, differ between runs.
        earlier = then.get(figure.name) if figure.group != "lists" else None
        yield _line(name, row(earlier)[1] if earlier else "", value, *others)


def _read(run: Run) -> list[Figure]:
    computed = ("ratio", "met")
    return [
        Figure(**{name: value for name, value in figure.items() if name not in computed})
        for figure in run["figures"]
    ]


def use(before: Run, after: Run) -> Iterator[str]:
    """Yield what each process used in each part: percent of a core, before and after."""
    names = list(dict.fromkeys(name for part in after["use"].values() for name in part["cpu"]))
    yield _line("CPU, % of a core: before; after", *names)
    yield "|---" * (len(names) + 1) + "|"
    for part, later in after["use"].items():
        earlier = before["use"].get(part, {"cpu": {}})
        yield _line(part, *(_both(earlier["cpu"].get(n), later["cpu"].get(n)) for n in names))


def _both(before: float | None, after: float | None) -> str:
    if after is None:
        return ""
    return f"{after:.0f}" if before is None else f"{before:.0f}; {after:.0f}"


def lists(before: Run, after: Run) -> Iterator[str]:
    """Yield the fastest read of each page in the large shop, before and after, and in the small."""
    then = {page["page"]: page for page in before["lists"]}
    yield _line("page", "large shop before, ms", "after, ms", "small shop after, ms", "times")
    yield "|---" * 5 + "|"
    for page in after["lists"]:
        earlier = f"{then[page['page']]['many_ms']:.1f}" if page["page"] in then else NOTHING
        many, few, times = (page[name] for name in ("many_ms", "few_ms", "times"))
        yield _line(f"`{page['page']}`", earlier, f"{many:.1f}", f"{few:.1f}", f"{times:.2f}")


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
