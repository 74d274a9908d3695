"""`storelog recover`: a log that lost events which Kafka has, after a failover or a restore."""

from pathlib import Path
from typing import Annotated

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of


def recover(
    report: Annotated[
        Path, typer.Option("--report", help="The new file that names each lost event.")
    ] = Path("lost-events.json"),
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Append lost events again, name the rest, and begin the log's next history.

    Interrupted, run it again with another report. Example: storelog recover --report lost.json
    """
    settings = settings_of(
        data_dir, "postgres_url", "kafka_bootstrap_servers", "mongodb_uri"
    ).settings
    from storelog.cli.progress import Shown
    from storelog.upkeep.recover import recover as run

    with Shown() as progress:
        done = run_async(run(settings, report, progress.show))
    facts = done.facts()
    if as_json:
        print_json(facts)
        return
    print(f"the log's history is {done.history}, it began after position {done.began_after:,}")
    if not done.lost:
        print("no lost events: the read model was built from the log")
        return
    print(f"appended again: {facts['appendedAgain']:,} events; left: {facts['left']:,}")
    print(f"each lost event, and why it was left, is in {report}")
