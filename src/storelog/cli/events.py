"""`storelog events`: the log, one event per line as JSON."""

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storelog.cli.options import DataDir, client_of, print_json, settings_of

if TYPE_CHECKING:
    from storelog.client import Event

PAGE = 1_000
FOLLOW_SECONDS = 0.5


def events(
    data_dir: DataDir = None,
    aggregate: Annotated[
        str | None,
        typer.Option(help="Only events of this aggregate: product-5.", show_default=False),
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="Only above this position.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most events to print.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new events.")] = False,
) -> None:
    """Print events in order. Example: storelog events --aggregate product-5 --limit 10"""
    settings = settings_of(data_dir, "command_url").settings
    left = limit
    with client_of(settings) as shop:
        while left is None or left > 0:
            # Pages keep the memory small, however long the log is.
            size = PAGE if left is None else min(left, PAGE)
            found = shop.list_events(aggregate=aggregate, after=after, limit=size)
            for event in found:
                print_json(_facts(event))
                after = event.position
            left = None if left is None else left - len(found)
            if not found:
                if not follow:
                    return
                # The log has pages but no stream, so ask for the next page until Ctrl-C.
                threading.Event().wait(FOLLOW_SECONDS)


def _facts(event: "Event") -> dict[str, Any]:
    """Return an event as the reference shows it: times with three decimals."""
    import msgspec

    from storelog.envelope import format_time

    shown = msgspec.to_builtins(event, builtin_types=(datetime,))
    return {n: format_time(v) if isinstance(v, datetime) else v for n, v in shown.items()}
