"""`storelog lanes`: shows how many lanes there are, and adds more."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of

app = typer.Typer(help="The number of lanes: partitions of each topic.")


@app.command("show")
def show(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print the number of lanes and where each ends. Example: storelog lanes show"""
    settings = settings_of(data_dir, "postgres_url", "mongodb_uri").settings
    from storelog.upkeep.lanes import show_lanes

    _print(run_async(show_lanes(settings)), as_json=as_json)


@app.command("set")
def set_(
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="The new number of lanes.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Drain to one position, switch to N lanes and continue. Example: storelog lanes set 6"""
    settings = settings_of(
        data_dir, "postgres_url", "kafka_bootstrap_servers", "mongodb_uri"
    ).settings
    from storelog.cli.progress import Shown
    from storelog.upkeep.lanes import set_lanes

    with Shown() as progress:
        lanes = run_async(set_lanes(settings, number, progress.show))
    _print(lanes, as_json=as_json)


def _print(lanes: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(lanes))
        return
    print(f"{lanes.lanes} lanes, ending at {', '.join(map(str, lanes.positions))}")
    if lanes.wanted is not None:
        print(f"a change to {lanes.wanted} lanes is under way")
