"""`storelog install-mongodb` against a local file server with a stand-in archive."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storelog.errors import BadUse, CannotRun
from storelog.local import mongodb, mongodb_download
from storelog.local.mongodb_download import archive_path
from support.file_server import FileServer, serving, stand_in_archive

VERSION = "8.0.99"
SCRIPT = f"#!/bin/sh\necho 'db version v{VERSION}'\n"
PATH = mongodb_download.this_platform(VERSION)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.add(PATH, stand_in_archive(VERSION, SCRIPT + "# " + os.urandom(40_000).hex()))
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "storelog" / "mongodb"


def run(server: FileServer, *more: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "storelog", "install-mongodb", "--version", VERSION]
    return subprocess.run(
        [*argv, "--mirror", server.url, *more],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def left_over(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()} - {".lock"} if home.exists() else set()


def test_it_says_what_and_under_which_licence_and_asks_first(
    server: FileServer, home: Path
) -> None:
    done = run(server)
    assert done.returncode == 2
    assert "accept the licence with --yes" in done.stderr
    for said in ("MongoDB, Inc.", "SSPL-1.0", f"{server.url}/{PATH}", str(home / VERSION)):
        assert said in done.stderr
    assert server.sent == []
    assert not home.exists()


def test_it_installs_what_up_then_uses(server: FileServer, home: Path) -> None:
    before = mongodb.describe()
    done = run(server, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    mongod = home / VERSION / "bin" / "mongod"
    assert json.loads(done.stdout) == {"version": VERSION, "mongod": str(mongod)}
    assert left_over(home) == {VERSION}
    assert {path.name for path in (home / VERSION).rglob("*")} == {
        "bin", "mongod", "LICENSE-Community.txt",
    }  # fmt: skip
    assert before != mongodb.describe() == f"mongod v{VERSION}"
    assert mongodb_download.installed() == mongod
    again = run(server, "--yes")
    assert again.returncode == 0
    assert left_over(home) == {VERSION}


def test_a_wrong_sum_installs_nothing_and_the_next_try_begins_anew(
    server: FileServer, home: Path
) -> None:
    right, server.sums[PATH] = server.sums[PATH], "0" * 64
    done = run(server, "--yes")
    assert done.returncode == 3
    assert "nothing installed" in done.stderr
    assert left_over(home) == set()
    given = run(server, "--yes", "--sha256", "f" * 64)
    assert given.returncode == 3
    server.sums[PATH] = right
    assert run(server, "--yes").returncode == 0


def test_a_download_that_breaks_off_goes_on_where_it_was(server: FileServer, home: Path) -> None:
    server.break_after = 20_000
    done = run(server, "--yes")
    assert done.returncode == 3
    assert "run it again to go on" in done.stderr
    assert mongodb_download.installed() is None
    assert run(server, "--yes").returncode == 0
    assert server.sent == [(PATH, 0), (PATH, 20_000)]


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (b"no archive at all", "cannot be unpacked"),
        (stand_in_archive(VERSION, "#!/bin/sh\necho no libcrypto >&2; exit 127\n"), "no libcrypto"),
        (stand_in_archive(VERSION, "no program"), "cannot be started"),
        (stand_in_archive(VERSION, SCRIPT, "a/b"), "has no bin/mongod"),
    ],
    ids=["not an archive", "does not run here", "no program", "another layout"],
)
def test_what_does_not_work_is_not_installed(
    server: FileServer, home: Path, archive: bytes, said: str
) -> None:
    server.add(PATH, archive)
    done = run(server, "--yes")
    assert done.returncode == 3
    assert said in done.stderr
    assert left_over(home) == set()
    assert mongodb_download.installed() is None


def test_a_server_that_lacks_the_file_or_is_away_is_one_clear_line(server: FileServer) -> None:
    server.files.clear()
    for url in (server.url, "http://127.0.0.1:1"):
        done = run(server, "--yes", "--mirror", url)
        assert done.returncode == 3
        assert done.stderr.splitlines()[-1].startswith("storelog: http")


@pytest.mark.parametrize(
    ("system", "machine", "release", "expected"),
    [
        ("Linux", "x86_64", {"ID": "ubuntu", "VERSION_ID": "24.04"}, "x86_64-ubuntu2404"),
        ("Linux", "aarch64", {"ID": "ubuntu", "VERSION_ID": "22.04"}, "aarch64-ubuntu2204"),
        ("Linux", "x86_64", {"ID": "debian", "VERSION_ID": "12"}, "x86_64-debian12"),
        ("Linux", "x86_64", {"ID": "rocky", "VERSION_ID": "9.4"}, "x86_64-rhel93"),
        ("Linux", "x86_64", {"ID": "linuxmint", "ID_LIKE": "ubuntu debian", "VERSION_ID": "21"},
         "x86_64-ubuntu2204"),
        ("Linux", "x86_64", {"ID": "amzn", "VERSION_ID": "2023"}, "x86_64-amazon2023"),
    ],
)  # fmt: skip
def test_the_archive_is_the_platforms(
    system: str, machine: str, release: dict[str, str], expected: str
) -> None:
    path = f"linux/mongodb-linux-{expected}-8.0.1.tgz"
    assert archive_path("8.0.1", system, machine, release) == path


def test_other_platforms_are_told_what_to_do() -> None:
    assert archive_path("8.0.1", "Darwin", "arm64", {}) == "osx/mongodb-macos-arm64-8.0.1.tgz"
    for system, machine in (("Linux", "riscv64"), ("Windows", "AMD64"), ("Linux", "x86_64")):
        with pytest.raises(CannotRun, match="`mongod` on PATH"):
            archive_path("8.0.1", system, machine, {"ID": "alpine", "VERSION_ID": "3.20"})
    with pytest.raises(BadUse):
        archive_path("../8", "Linux", "x86_64", {"ID": "ubuntu"})
