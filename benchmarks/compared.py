"""`make bench-compare`: two runs of `make bench` side by side, as Markdown.

Compare runs of one machine and one hour only. What the earlier run did not measure is left empty;
a page that it did not read is "not measured".
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
    runs = []
    for path in (chosen.before, chosen.after):
        try:
            runs.append(read(path))
        except (OSError, ValueError) as error:
            arguments.error(f"{path} is no bench.json of make bench: {error}")
    for table in (figures, use, lists):
        print("\n".join(table(*runs)), end="\n\n")


def read(path: Path) -> Run:
    """Return the run that a bench.json holds.

    Raise OSError where it cannot be read, ValueError where it is something else.
    """
    run = json.loads(path.read_text("utf-8"))
    if not isinstance(run, dict) or not {"figures", "use"} <= run.keys():
        raise ValueError("it has no figures")
    # Runs of releases that did not measure lists have none.
    return {"lists": [], **run}


def figures(before: Run, after: Run) -> Iterator[str]:
    """Yield each figure of both runs, with the goal and the ceiling of the later one."""
    then = {name: value for name, value, *_ in _rows(before)}
    yield _line("figure", "before", "after", "goal", "met", "ceiling beside it, after", "share")
    yield "|---" * 7 + "|"
    for name, value, *others in _rows(after):
        yield _line(name, then.get(name, ""), value, *others)


def _rows(run: Run) -> Iterator[tuple[str, ...]]:
    computed = ("ratio", "met")
    for figure in run["figures"]:
        yield row(Figure(**{name: figure[name] for name in figure if name not in computed}))


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
