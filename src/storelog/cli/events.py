"""`storelog events`: the log, one JSON event a line."""

import threading
from typing import Annotated

import msgspec
import typer

from storelog.cli.options import DataDir, client_of, settings_of

PAGE = 1_000
FOLLOW_SECONDS = 0.5


def events(
    data_dir: DataDir = None,
    aggregate: Annotated[
        str | None, typer.Option(help="Only this thing's: product-5.", show_default=False)
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="Only above this position.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new ones.")] = False,
) -> None:
    """Print events in order. Example: storelog events --aggregate product-5 --limit 10"""
    settings = settings_of(data_dir, "command_url").settings
    left = limit
    with client_of(settings) as shop:
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            found = shop.list_events(aggregate=aggregate, after=after, limit=size)
            for event in found:
                print(msgspec.json.encode(event).decode(), flush=True)
                after = event.position
            left = None if left is None else left - len(found)
            if not found:
                if not follow:
                    return
                threading.Event().wait(FOLLOW_SECONDS)
