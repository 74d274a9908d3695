"""`storelog rebuild`: builds a new read model beside the live one, or new state tables."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from storelog.cli.options import AsJson, DataDir, keep, print_json, run_async, settings_of
from storelog.config import Settings
from storelog.errors import BadUse

SHOWN = 50


class Source(StrEnum):
    """Where the events come from."""

    kafka = "kafka"
    log = "log"


def rebuild(
    source: Annotated[
        Source, typer.Option("--from", help="Where the events come from.")
    ] = Source.log,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make it the active read model at the end.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Make the previous read model the active one again.")
    ] = False,
    state_tables: Annotated[
        bool, typer.Option("--state-tables", help="Rebuild PostgreSQL's state tables instead.")
    ] = False,
    restore_discarded: Annotated[
        bool,
        typer.Option("--restore-discarded", help="Apply events of discarded dead letters too."),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Build a new read model and list what differs in the live one; reads go on meanwhile.

    After an interruption it continues where it was. Example: storelog rebuild --from log --promote
    """
    if promote + rollback + state_tables > 1:
        raise BadUse("choose one of --promote, --rollback and --state-tables")
    if restore_discarded and (rollback or state_tables):
        raise BadUse("--restore-discarded goes with a new read model only")
    # Only the servers that this run uses must be configured.
    needed = ["postgres_url"] if state_tables else ["postgres_url", "mongodb_uri"]
    needed += ["kafka_bootstrap_servers"] if source is Source.kafka else []
    settings = settings_of(data_dir, *needed).settings
    if state_tables:
        _rebuild_state_tables(settings, as_json=as_json)
        return
    from storelog.cli.progress import Shown
    from storelog.results import REBUILD, Result
    from storelog.upkeep.rebuild import rebuild as run
    from storelog.upkeep.rebuild import roll_back

    with Shown() as progress:
        work = (
            roll_back(settings, progress.show)
            if rollback
            else run(
                settings,
                source.value,
                progress.show,
                promote=promote,
                restore_discarded=restore_discarded,
            )
        )
        done = run_async(work)
    facts = done.facts()
    keep(settings, [Result(REBUILD, done.position, done.seconds, done.report.found, facts)])
    if as_json:
        print_json(facts)
    else:
        _show(facts, done.report.found)


def _show(facts: dict[str, Any], found: int) -> None:
    print(
        f"{facts['database']} holds position {facts['position']}: {facts['events']:,} events in"
        f" {facts['seconds']} s, {facts['eventsPerSecond']:,} events/s"
    )
    _show_differences(facts)
    if facts["checked"]:
        print("the live read model agrees" if not found else f"{found} differences in the live one")
    if facts["promoted"]:
        print(f"active now; {facts['previous']} is kept: `storelog rebuild --rollback`")


def _show_differences(facts: dict[str, Any]) -> None:
    for difference in facts["differences"][:SHOWN]:
        print(
            f"DIFFERS {difference['where']} {difference['id']} {difference['field']}:"
            f" rebuilt {difference['expected']}, live {difference['found']}"
        )


def _rebuild_state_tables(settings: Settings, *, as_json: bool) -> None:
    from storelog.cli.progress import Shown
    from storelog.upkeep.state_tables import rebuild_state_tables

    with Shown() as progress:
        done = run_async(rebuild_state_tables(settings, progress.show))
    facts = done.facts()
    if as_json:
        print_json(facts)
        return
    print(f"the log up to position {facts['position']}, in {facts['seconds']} s")
    _show_differences(facts)
    found = done.report.found
    print(f"{found} rows differed and are as the log says" if found else "the tables agree")
