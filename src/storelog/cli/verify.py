"""`storelog verify`: checks that the log, PostgreSQL and MongoDB agree."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from storelog.cli.options import AsJson, DataDir, keep, print_json, run_async, settings_of

SHOWN = 50


def verify(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Rewrite documents that differ from the log.")
    ] = False,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", help="A file of signed heads of the log, to check and add to."),
    ] = None,
) -> None:
    """Prove that everything agrees; exit 1 and list what differs. Example: storelog verify"""
    loaded = settings_of(data_dir, "postgres_url", "mongodb_uri")
    from storelog.cli.progress import Shown
    from storelog.results import ANCHOR, VERIFY, Result
    from storelog.verify.anchor import open_anchor
    from storelog.verify.verify import verify as run

    # Before the long work, so that an unusable file is reported at once.
    signed = None if anchor is None else open_anchor(anchor, loaded.data_dir)
    began = time.monotonic()
    with Shown() as progress:
        work = run(loaded.settings, progress.show, repair=repair, anchor=signed)
        report = run_async(work)
    facts = report.facts()
    # One run is recorded as each operation that it was, so that the console finds both.
    operations = [VERIFY] if anchor is None else [VERIFY, ANCHOR]
    seconds = time.monotonic() - began
    keep(
        loaded.settings,
        [Result(each, report.position, seconds, report.found, facts) for each in operations],
    )
    if as_json:
        print_json(facts)
    else:
        _show(facts, report.found)
    if report.found:
        raise typer.Exit(1)


def _show(facts: dict[str, Any], found: int) -> None:
    print(f"at position {facts['position']}")
    for what, number in facts["checked"].items():
        print(f"  {what:<26} {number:>12,}")
    for head in facts.get("closedAnchors", ()):
        print(
            f"CLOSED anchor at position {head['position']}: the log lost its event and began the"
            f" history {head['history']} after position {head['beganAfter']}"
        )
    for what in facts.get("notChecked", ()):
        print(f"NOT CHECKED {what}")
    for what in facts.get("toDo", ()):
        print(f"TO DO {what}")
    for difference in facts["differences"][:SHOWN]:
        print(
            f"DIFFERS {difference['where']} {difference['id']} {difference['field']}:"
            f" expected {difference['expected']}, found {difference['found']}"
        )
    if found > SHOWN:
        print(f"... and {found - SHOWN} more")
    if facts.get("repaired"):
        print(f"repaired {facts['repaired']} documents of the read model")
    print("all agree" if not found else f"{found} differences")
