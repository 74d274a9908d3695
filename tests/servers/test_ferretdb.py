"""FerretDB, built from its Go module: what `storelog migrate` says of it."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from storelog.config import Settings
from support.debian import CACHE
from support.embedded import EmbeddedServers, bare_settings
from support.system import System, free_port, wait_for

pytestmark = pytest.mark.servers
VERSION = "v1.24.2"
MODULE = f"github.com/FerretDB/FerretDB@{VERSION}"
BUILD_SECONDS = 3_600.0


def built() -> Path:
    """Return the program, built once with the Go that is on PATH."""
    program, source = CACHE / "go" / "ferretdb", CACHE / "ferretdb-source"
    if not program.is_file():
        said = _go("/", "mod", "download", "-json", MODULE)
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(json.loads(said)["Dir"], source)
        for folder in (source / "build" / "version", source):
            folder.chmod(0o755)
        # The module leaves out what its own build writes, and does not start without it.
        version = source / "build" / "version" / "version.txt"
        version.unlink(missing_ok=True)
        version.write_text(f"{VERSION}\n", "utf-8")
        _go(source, "build", "-o", str(program), "./cmd/ferretdb")
    return program


def _go(folder: Path | str, *argv: str) -> str:
    done = subprocess.run(
        ["go", *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout


@pytest.fixture
def ferretdb(servers: EmbeddedServers) -> Iterator[Settings]:
    """Settings of a new system whose read side is a FerretDB on SQLite."""
    home, port = Path(tempfile.mkdtemp(prefix="storelog-ferretdb-")), free_port()
    argv = [str(built()), "--handler=sqlite", f"--sqlite-url=file:{home}/", f"--state-dir={home}"]
    argv += [f"--listen-addr=127.0.0.1:{port}", "--debug-addr=-", "--telemetry=disable"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    client: MongoClient[dict[str, Any]] = MongoClient(
        "127.0.0.1", port, serverSelectionTimeoutMS=500
    )

    def is_there() -> bool:
        assert process.poll() is None, (home / "log").read_text("utf-8")[-1000:]
        try:
            return bool(client.admin.command("ping"))
        except PyMongoError:
            return False

    try:
        wait_for(is_there, "FerretDB")
        settings = bare_settings(servers)
        yield replace(settings, mongodb_uri=f"mongodb://127.0.0.1:{port}/storelog")
    finally:
        client.close()
        process.terminate()
        process.wait(20)
        shutil.rmtree(home, ignore_errors=True)


def test_ferretdb_is_rejected_with_its_name_and_what_it_lacks(ferretdb: Settings) -> None:
    done = System(ferretdb).cli("migrate")
    print(done.stdout, done.stderr)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("storelog: MongoDB: FerretDB ")
    assert "cannot be used, it lacks " in done.stderr
