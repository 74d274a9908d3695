"""`storelog recover`: a log that lost events which Kafka has, after a failover or a restore."""

from pathlib import Path
from typing import Annotated

import typer

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of


def recover(
    report: Annotated[
        Path, typer.Option("--report", help="The new file that names each lost event.")
    ] = Path("lost-events.json"),
    anchor: Annotated[
        Path | None,
        typer.Option(
            "--anchor", help="A file of signed heads: closes those that the log has left."
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Append lost events again, name the rest, and begin the log's next history.

    Interrupted, run it again with another report. Example: storelog recover --report lost.json
    """
    loaded = settings_of(data_dir, "postgres_url", "kafka_bootstrap_servers", "mongodb_uri")
    from storelog.cli.progress import Shown
    from storelog.upkeep.recover import recover as run
    from storelog.verify.anchor import open_anchor

    signed = None if anchor is None else open_anchor(anchor, loaded.data_dir)
    with Shown() as progress:
        done = run_async(run(loaded.settings, report, progress.show, signed))
    facts = done.facts()
    if as_json:
        print_json(facts)
        return
    print(f"the log's history is {done.history}, it began after position {done.began_after:,}")
    for position in done.closed_anchors or ():
        print(f"closed the anchor at position {position:,}: its event is of the history before")
    if not done.lost:
        print("no lost events: the read model was built from the log")
        return
    print(f"appended again: {facts['appendedAgain']:,} events; left: {facts['left']:,}")
    keys = {(each["caller"], each["idempotencyKey"]) for each in done.lost}
    gone = sum(key is not None for _, key in keys)
    print(f"idempotency keys that are gone: {gone:,}; a command that repeats one is a new command")
    print(f"each lost event, and why it was left, is in {report}")
