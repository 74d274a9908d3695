"""`storelog events`: the log, one JSON event a line."""

import threading
from typing import Annotated

import typer

from storelog.cli.client import get_json
from storelog.cli.options import DataDir, print_json, settings_of

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
    settings = settings_of(data_dir).settings
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(left, PAGE)
        asked = {"aggregate": aggregate, "after": after, "limit": size}
        found = get_json(settings, f"{settings.command_url}/events", asked)
        for event in found["items"]:
            print_json(event)
            after = event["position"]
        left = None if left is None else left - len(found["items"])
        if found["nextAfter"] is None:
            if not follow:
                return
            threading.Event().wait(FOLLOW_SECONDS)
