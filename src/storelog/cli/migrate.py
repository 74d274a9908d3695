"""`storelog migrate`: PostgreSQL's schema, Kafka's topics, MongoDB's indexes."""

from storelog.cli.options import DataDir, run_async, settings_of


def migrate(data_dir: DataDir = None) -> None:
    """Set up the servers; safe to repeat and to run twice at once. Example: storelog migrate"""
    settings = settings_of(
        data_dir, "postgres_url", "kafka_bootstrap_servers", "mongodb_uri"
    ).settings
    from storelog import postgres
    from storelog.errors import CannotRun
    from storelog.reasons import reason
    from storelog.server_setup import set_up_servers

    try:
        done = run_async(set_up_servers(settings))
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL: {reason(error)}") from error
    print(f"PostgreSQL, Kafka ({done.lanes} lanes) and MongoDB are set up.")
    for warning in done.warnings:
        print(f"Warning: {warning}.")
    for advice in done.advice:
        print(f"To do: {advice}.")
