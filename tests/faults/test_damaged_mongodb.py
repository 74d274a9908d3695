"""The embedded MongoDB server killed while it makes a table: it starts again, nothing is lost."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pymongo import MongoClient

from storelog.local import mongodb
from storelog.local.program import Program
from support.damaged import half_make_table
from support.system import ANN, CAKE_STAND, free_port, wait_for
from support.up import Up, kill

# The tables without which the server starts, but would reject every write.
FIRST_TABLES = ("collections", "natural_seq", "indexes", "index_entries", "unique_keys")


@pytest.fixture
def home() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="storelog-damaged-"))
    yield place
    shutil.rmtree(place, ignore_errors=True)


def run(program: Program) -> None:
    program.start()

    def is_ready() -> bool:
        assert not program.look(), program.last_words()
        return program.state == "ready"

    wait_for(is_ready, "MongoDB to be ready")


def stop(program: Program) -> None:
    assert program.process is not None
    program.process.send_signal(signal.SIGKILL)
    program.process.wait(10)


@pytest.mark.parametrize("table", FIRST_TABLES)
def test_a_first_start_that_was_killed_in_the_middle_is_made_anew(home: Path, table: str) -> None:
    (home / "logs").mkdir()
    port = free_port()
    first = mongodb.program(home, port)
    run(first)
    stop(first)
    folder = home / "mongodb" / "secantusdb"
    half_make_table(folder, f"secantus_{table}")
    (home / "mongodb" / "secantusdb.started").unlink()
    again = mongodb.program(home, port)
    run(again)
    try:
        with MongoClient[dict[str, int]]("127.0.0.1", port, directConnection=True) as client:
            things = client["shop"]["things"]
            things.create_index("number", unique=True)
            things.insert_one({"_id": 1, "number": 7})
            assert things.find_one({"number": 7}) == {"_id": 1, "number": 7}
    finally:
        stop(again)


def status_of(up: Up, path: str) -> int:
    try:
        return up.queries.get(path).status
    except OSError:
        return 0


def test_up_puts_files_aside_that_mongodb_cannot_open_and_fills_it_again(home: Path) -> None:
    up = Up(home / "data")
    try:
        assert up.detach().returncode == 0
        up.commands.post("/customers", ANN)
        product = up.commands.post("/products", CAKE_STAND).json["productId"]
        path = f"/products/{product}"
        wait_for(lambda: up.queries.get(path).status == 200, "the product to be readable")
        kill(up.pids())
        half_make_table(up.data_dir / "mongodb" / "secantusdb", "secantus_documents_")

        again = up.detach()
        assert again.returncode == 0, again.stdout + again.stderr
        kept = list((up.data_dir / "mongodb").glob("secantusdb-set-aside-*"))
        assert len(kept) == 1
        assert f"cannot open its files: they are kept in {kept[0]}" in again.stdout
        assert any(kept[0].glob("secantus_documents_*"))
        wait_for(lambda: up.queries.get(path).status == 200, "the product to be readable again")
        # The same while it runs, with all who know the keys that are to be in MongoDB.
        facts = up.run_file()
        supervisor = psutil.Process(facts["pid"])
        supervisor.suspend()
        for each in (*facts["servers"], *facts["processes"]):
            if each["name"] in ("mongodb", "projector", "query-service"):
                ended = psutil.Process(each["pid"])
                ended.kill()
                wait_for(lambda it=ended: it.status() == psutil.STATUS_ZOMBIE, each["name"])  # type: ignore[misc]
        half_make_table(up.data_dir / "mongodb" / "secantusdb", "secantus_documents_")
        supervisor.resume()
        wait_for(
            lambda: len(list((up.data_dir / "mongodb").glob("secantusdb-set-aside-*"))) == 2,
            "the files to be set aside",
        )
        wait_for(lambda: status_of(up, path) == 200, "the product to be readable without a key")
        verified = up.cli("verify")
        assert verified.returncode == 0, verified.stdout
    finally:
        up.close()
