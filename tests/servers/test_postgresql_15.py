"""Everything works on PostgreSQL 15: docs/postgresql.md."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storelog.local import postgres
from storelog.local.program import Program
from support.backups import BIN, RELAYED
from support.debian import unpacked
from support.embedded import EmbeddedServers, new_settings, running
from support.projected import verified
from support.system import System, free_port, trade

pytestmark = pytest.mark.servers

ARGUMENTS = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]


@pytest.fixture
def older() -> Iterator[str]:
    """The address of an empty database of a PostgreSQL 15 of Debian's package."""
    binaries = unpacked("postgresql-15") / "usr/lib/postgresql/15/bin"
    home, port = Path(tempfile.mkdtemp(prefix="storelog-tests-")), free_port()
    data = home / "postgresql"
    user = postgres._user(binaries, data) if os.geteuid() == 0 else None
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8"],
        check=True,
        timeout=120,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    ready: list[str | Path] = [BIN / "pg_isready", "--quiet", f"--port={port}", "--host=127.0.0.1"]
    program = Program(
        "postgresql",
        [str(binaries / "postgres"), "-D", str(data), "-p", str(port), *ARGUMENTS],
        home / "postgresql.log",
        lambda: subprocess.run(ready, timeout=10, check=False).returncode == 0,
        environment={"LC_ALL": "C"},
        user=user,
    )
    try:
        with running(program):
            yield url
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_an_order_goes_the_whole_way_on_postgresql_15(servers: EmbeddedServers, older: str) -> None:
    settings = new_settings(servers, replace(servers.settings, postgres_url=older))
    with System(settings, RELAYED) as system:
        (version,) = system.sql("SHOW server_version_num")
        assert version["server_version_num"].startswith("15")
        trade(system)
        system.wait_projected()
        assert verified(system)["position"] == system.written()
