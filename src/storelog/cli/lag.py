"""`storelog lag`: written, relayed, projected, and the distance between them."""

import sys
from typing import TYPE_CHECKING

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of

if TYPE_CHECKING:
    from storelog.lag import Lag


def lag(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print how far behind the read side is; exit 1 if the log lacks projected events.

    Example: storelog lag --json
    """
    settings = settings_of(data_dir, "postgres_url", "mongodb_uri").settings
    from storelog.lag import read_lag

    found = run_async(read_lag(settings))
    if as_json:
        print_json(found.facts())
    else:
        _show(found)
    # After the positions, which show how far the log is behind.
    if found.is_log_behind:
        _fail(found)


def _fail(found: "Lag") -> None:
    from storelog.local.read_side_watch import LOG_BEHIND, troubles

    print(f"storelog: {troubles(found)[LOG_BEHIND]}", file=sys.stderr)
    raise typer.Exit(1)


def _show(found: "Lag") -> None:
    print(f"written    {found.written:>12,}")
    print(f"relayed    {found.relayed:>12,}")
    print(f"projected  {found.projected:>12,}")
    print(f"behind     {found.events_behind:>12,} events, {found.seconds_behind:.1f} s")
    print(f"dead letters {found.dead_letters:>10,}")
    print(f"foreign    {found.foreign:>12,} records")
