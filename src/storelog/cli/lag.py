"""`storelog lag`: written, relayed, projected, and the distance between them."""

from storelog.cli.options import AsJson, DataDir, print_json, run_async, settings_of


def lag(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print how far behind the read side is. Example: storelog lag --json"""
    settings = settings_of(data_dir, "postgres_url", "mongodb_uri").settings
    from storelog.lag import read_lag

    found = run_async(read_lag(settings))
    if as_json:
        print_json(found.facts())
        return
    print(f"written    {found.written:>12,}")
    print(f"relayed    {found.relayed:>12,}")
    print(f"projected  {found.projected:>12,}")
    print(f"behind     {found.events_behind:>12,} events, {found.seconds_behind:.1f} s")
    print(f"dead letters {found.dead_letters:>10,}")
    print(f"foreign    {found.foreign:>12,} records")
