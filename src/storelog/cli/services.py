"""`storelog command-service`, `relay`, `projector`, `query-service`: each process by itself."""

from storelog.cli.options import DataDir, Host, Port, settings_of

LOOPBACK = "127.0.0.1"


def command_service(data_dir: DataDir = None, host: Host = LOOPBACK, port: Port = 8080) -> None:
    """Serve commands over HTTP. Example: storelog command-service --port 8080"""
    loaded = settings_of(data_dir, "postgres_url")
    from storelog.command_service.app import run

    run(loaded.settings, host, port, loaded.named("query_url"))


def relay(data_dir: DataDir = None, host: Host = LOOPBACK, port: Port = 8090) -> None:
    """Publish the log on Kafka. Example: storelog relay --port 8090"""
    settings = settings_of(data_dir, "postgres_url", "kafka_bootstrap_servers").settings
    from storelog.relay.app import run

    run(settings, host, port)


def projector(data_dir: DataDir = None, host: Host = LOOPBACK, port: Port = 8091) -> None:
    """Project Kafka into MongoDB. Example: storelog projector --port 8091"""
    settings = settings_of(data_dir, "kafka_bootstrap_servers", "mongodb_uri").settings
    from storelog.projector.app import run

    # The projector must not import upkeep, so the command brings the two together.
    from storelog.upkeep.dead_letter_api import SCHEMAS, dead_letter_routes

    run(settings, host, port, dead_letter_routes(settings), SCHEMAS)


def query_service(data_dir: DataDir = None, host: Host = LOOPBACK, port: Port = 8081) -> None:
    """Serve queries over HTTP. Example: storelog query-service --port 8081"""
    settings = settings_of(data_dir, "mongodb_uri").settings
    from storelog.query_service.app import run

    # Without the console, its pages are not even imported.
    if not settings.console:
        run(settings, host, port)
        return
    from storelog.console.app import console_pages

    run(settings, host, port, console_pages)
