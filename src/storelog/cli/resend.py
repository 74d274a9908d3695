"""`storelog resend`: sends events of the log to Kafka again."""

from dataclasses import asdict
from typing import Annotated

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of


def resend(
    first: Annotated[int, typer.Option("--from", min=1, help="The first position.")],
    last: Annotated[
        int | None,
        typer.Option(
            "--to", min=1, help="The last position (else the log's last).", show_default=False
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send events again; readers drop what they have. Example: storelog resend --from 12 --to 12"""
    settings = settings_of(data_dir, "postgres_url", "kafka_bootstrap_servers").settings
    from storelog.cli.progress import Shown
    from storelog.upkeep.resend import resend as run

    with Shown() as progress:
        done = run_async(run(settings, first, last, progress.show))
    if as_json:
        print_json(asdict(done))
    else:
        print(f"sent again: {done.events:,} events, positions {done.first} to {done.last}")
