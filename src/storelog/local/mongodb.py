"""The embedded server with MongoDB's protocol: MongoDB itself if it is installed, else SecantusDB.

In this order: what `storelog install-mongodb` fetched, `mongod` on PATH, `secantusd-rs` on PATH,
SecantusDB from the extra `local`.

SecantusDB (GPL-2.0) is only ever started as a separate program, never imported.
Next: local/supervisor.py
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from storelog.errors import CannotRun
from storelog.local import mongodb_download
from storelog.local.files import Files
from storelog.local.ports import HOST
from storelog.local.program import Program

DATABASE = "storelog"
MIN_CACHE_MIB, MAX_CACHE_MIB = 256, 1_024
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
# WiredTiger's message after a full disk, for one, after which it rejects everything. MongoDB's own
# server then ends by itself; SecantusDB does not, so the supervisor ends it.
BROKEN = re.compile(rb"the process must exit and restart: WT_PANIC")
# SecantusDB's message for files that it cannot open. `Invalid argument`: a table without columns,
# half created; the others are WiredTiger's words for damage. A full disk, a lock and missing rights
# have other messages.
UNREADABLE = re.compile(
    r"storage\.py.*^_wiredtiger\.WiredTigerError: "
    r"(Invalid argument|No such file or directory|WT_TRY_SALVAGE\b|WT_ERROR\b)",
    re.MULTILINE | re.DOTALL,
)


def url(port: int) -> str:
    """Return the address of the embedded server's database."""
    return f"mongodb://{HOST}:{port}/{DATABASE}?directConnection=true"


def program(data_dir: Path, port: int) -> Program:
    """Return the first server that this machine has. Raises CannotRun."""
    name, argv, release = _choose(data_dir / "mongodb", port)
    files = _files(data_dir / "mongodb" / name.lower()) if name == "SecantusDB" else None
    return Program(
        "mongodb",
        argv,
        data_dir / "logs" / "mongodb.log",
        lambda: _is_ready(port, files),
        version=f"{name} {release}".strip(),
        gives_way=True,
        files=files,
        broken=BROKEN,
    )


def _files(folder: Path) -> Files:
    files = Files(folder, "secantus_documents_*", UNREADABLE)
    files.clear_unfinished()
    return files


def describe() -> str:
    """Return which server `program` would start. Raises CannotRun."""
    name, _, release = _choose(None, 0)
    return f"{name} {release}".strip()


def _choose(home: Path | None, port: int) -> tuple[str, list[str], str]:
    # A server that was installed for this purpose comes before one that is there by chance.
    own = mongodb_download.installed()
    mongod = str(own) if own else shutil.which("mongod")
    rust = shutil.which("secantusd-rs")
    python = Path(sys.executable).parent / "secantusd-py"
    if mongod is not None:
        folder = _folder(home, "mongod")
        argv = [mongod, "--dbpath", folder, "--port", str(port), "--bind_ip", HOST]
        return "mongod", argv, _release(mongod)
    shared = ["--host", HOST, "--port", str(port), "--sync-on-commit"]
    shared += ["--cache-size", f"{cache_mib(memory_bytes(CONTAINER_LIMIT))}M"]
    # Nothing here reads a replica set's oplog, and without it an update costs a third less.
    shared += ["--standalone", "--log-level", "WARNING", "--storage-path"]
    if rust is not None:
        return "secantusd-rs", [rust, *shared, _folder(home, "secantusd-rs")], _release(rust)
    if not python.is_file():
        raise CannotRun("no MongoDB: set STORELOG_MONGODB_URI or pip install 'storelog[local]'")
    try:
        release = version("secantusdb")
    except PackageNotFoundError:
        release = ""
    return "SecantusDB", [str(python), *shared, _folder(home, "secantusdb")], release


def cache_mib(memory: int) -> int:
    """Return how many MiB of its data a server keeps in memory: a sixteenth of `memory` bytes.

    An insert costs the more the less of the indexes is there: after 200,000 orders a quarter more
    with 256 MiB than with 1 GiB. A `mongod` takes half of the machine.
    """
    return max(MIN_CACHE_MIB, min(memory // 2**20 // 16, MAX_CACHE_MIB))


def memory_bytes(container_limit: Path) -> int:
    """Return the memory of this machine, or of its container, if that is limited to less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(container_limit.read_text("ascii")))
    except (OSError, ValueError):
        # There is no such file, or it says `max`.
        return machine


def _folder(home: Path | None, name: str) -> str:
    """Return a server's own folder, since the servers cannot read one another's files."""
    if home is None:
        return ""
    folder = home / name
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _release(mongod: str) -> str:
    done = subprocess.run(
        [mongod, "--version"], capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout.split("\n", 1)[0].rpartition(" ")[2]


def _is_ready(port: int, files: Files | None) -> bool:
    client: MongoClient[dict[str, Any]] = MongoClient(
        HOST, port, directConnection=True, serverSelectionTimeoutMS=500, socketTimeoutMS=2000
    )
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    finally:
        client.close()
    if files is not None:
        files.has_started()
    return True
