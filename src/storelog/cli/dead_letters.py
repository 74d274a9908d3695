"""`storelog dead-letters`: events that could not be projected, and what waits for them."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from storelog.cli.options import AsJson, DataDir, print_json, settings_of
from storelog.errors import BadUse, NotFound

app = typer.Typer(help="Events that could not be projected, and events that wait for them.")
# There can be very many foreign records; `--json` lists all that are kept.
SHOWN_FOREIGN = 20
LetterId = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="IDs as `list` shows them; without any, all parked."),
]


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print the dead letters, and how many events wait. Example: storelog dead-letters list"""
    settings = settings_of(data_dir, "mongodb_uri").settings
    from storelog.upkeep.dead_letters import dead_letters

    with dead_letters(settings) as letters:
        items, not_kept = letters.list_all(), letters.not_kept()
    if as_json:
        print_json({"items": items, "foreign_not_kept": not_kept})
        return
    foreign = [item for item in items if item["aggregate"] is None]
    for item in [item for item in items if item["aggregate"] is not None] + foreign[:SHOWN_FOREIGN]:
        behind = f", {item['waiting']} events wait behind it" if item["waiting"] else ""
        subject = item["aggregate"] or f"a foreign record of {item['topic']}"
        print(f"{item['id']}  {subject}: {item['cause']}{behind}")
    if more := max(0, len(foreign) - SHOWN_FOREIGN) + not_kept:
        print(f"and {more:,} more foreign records ({not_kept:,} of them were counted only)")
    if foreign or not_kept:
        print("`storelog dead-letters discard --foreign` discards all foreign records")
    if not items and not not_kept:
        print("no dead letters")


@app.command("show")
def show(letter_id: LetterId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print one dead letter; exit 1 if there is none. Example: storelog dead-letters show 1234"""
    settings = settings_of(data_dir, "mongodb_uri").settings
    from storelog.upkeep.dead_letters import dead_letters

    with dead_letters(settings) as letters:
        try:
            facts = letters.show(letter_id)
        except NotFound as unknown:
            raise _no(unknown) from unknown
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        print(f"{name:<18} {value}")


@app.command("retry")
def retry(ids: Ids = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Replay dead letters from the log, and the events that wait for them, in order.

    Exit 1 when one still cannot be projected. Example: storelog dead-letters retry 1234
    """
    settings = settings_of(data_dir, "postgres_url", "mongodb_uri").settings
    from storelog.upkeep.dead_letters import dead_letters

    with dead_letters(settings) as letters:
        try:
            outcome = letters.retry(ids or [])
        except NotFound as unknown:
            raise _no(unknown) from unknown
    _report(outcome, "replayed", as_json=as_json)


@app.command("discard")
def discard(
    letter_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="As `list` shows it.")
    ] = None,
    foreign: Annotated[
        bool, typer.Option("--foreign", help="All records that the relay did not send.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Leave one out of the read model for good, and replay the events that wait for it.

    Exit 1 if there is none. Example: storelog dead-letters discard 1234
    """
    settings = settings_of(data_dir, "mongodb_uri").settings
    from storelog.upkeep.dead_letters import dead_letters

    if (letter_id is None) != foreign:
        raise BadUse("name one dead letter, or all foreign records with --foreign")
    with dead_letters(settings) as letters:
        if letter_id is None:
            number = letters.discard_foreign()
            if as_json:
                print_json({"discarded": number})
            else:
                print(f"discarded {number:,} foreign records")
            return
        try:
            outcome = letters.discard(letter_id)
        except NotFound as unknown:
            raise _no(unknown) from unknown
    _report(outcome, "discarded", as_json=as_json)


def _report(outcome: Any, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(outcome))
    else:
        for letter_id in outcome.settled:
            print(f"{what} {letter_id}")
        for letter_id, cause in outcome.still_dead.items():
            print(f"still dead {letter_id}: {cause}")
        if not outcome.settled and not outcome.still_dead:
            print("no dead letters")
    if outcome.still_dead:
        raise typer.Exit(1)


def _no(unknown: NotFound) -> typer.Exit:
    typer.echo(f"storelog: {unknown.detail}", err=True)
    return typer.Exit(1)
