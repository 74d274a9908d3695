"""The four processes as containers run them, without a container engine."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from storelog.config import Settings
from storelog.local.servers import PROCESSES
from support.container import DESCRIPTORS, USER, Contained, first_process, launcher, why_not
from support.projected import verified
from support.system import trade, wait_for

pytestmark = pytest.mark.alone

CROWD = 400
STOP_SECONDS = 10.0


@pytest.fixture(scope="module", autouse=True)
def containers() -> None:
    """Skip where the machine does not allow the name spaces of a container."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"programs cannot be run as in a container: {reason}")


@pytest.fixture
def contained(settings: Settings) -> Iterator[Contained]:
    with Contained(settings) as system:
        yield system


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_each_process_works_as_first_process_without_rights_or_a_file_to_write(
    contained: Contained,
) -> None:
    for name in PROCESSES:
        pid = contained.pid(name)
        about = status(pid)
        assert about["NSpid"].split()[-1] == "1"
        mounts = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        root = next(fields for fields in map(str.split, mounts) if fields[4] == "/")
        assert "ro" in root[5].split(",")
        if os.geteuid() == 0:
            assert set(about["Uid"].split()) == {str(USER)}
            assert int(about["CapEff"], 16) == 0
        files = re.search(r"^Max open files +(\d+) +(\d+)", _limits(pid), re.MULTILINE)
        assert files is not None
        assert files.groups() == (str(DESCRIPTORS), str(DESCRIPTORS))
    trade(contained)
    contained.wait_projected()
    # The certificate with which it leads is in no file.
    wait_for(
        lambda: contained.commands.get("/health/ready").json.get("role") == "leader",
        "the service to lead",
    )
    for name in PROCESSES:
        with ExitStack() as crowd:
            address = ("127.0.0.1", int(contained.url(name).rpartition(":")[2]))
            for _ in range(CROWD):
                crowd.enter_context(socket.create_connection(address, timeout=10))
        contained.wait_ready(name)
    trade(contained)
    contained.wait_projected()
    assert verified(contained)["position"] == contained.written()
    for name in PROCESSES:
        began = time.monotonic()
        contained.signal(name, signal.SIGTERM)
        assert contained.exit_code(name) == 0
        assert time.monotonic() - began < STOP_SECONDS
        assert "Traceback" not in contained.log_path(name).read_text("utf-8")


def _limits(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


def test_the_first_process_ends_on_sigterm_while_it_waits_for_a_server() -> None:
    """The kernel gives it no signal that it has no handler for."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        environment = {
            "PATH": "/usr/bin:/bin",
            "STORELOG_POSTGRES_URL": f"postgresql://x@127.0.0.1:{deaf.getsockname()[1]}/x",
            "STORELOG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "STORELOG_MONGODB_URI": "mongodb://127.0.0.1:1/x",
        }
        argv = [*launcher(), sys.executable, "-m", "storelog", "migrate", "--data-dir", "/nowhere"]
        launched = subprocess.Popen(argv, env=environment, cwd="/")
        try:
            deaf.settimeout(60)
            connection, _ = deaf.accept()
            with connection:
                os.kill(first_process(launched.pid), signal.SIGTERM)
                assert launched.wait(STOP_SECONDS) == 128 + signal.SIGTERM
        finally:
            launched.kill()
            launched.wait()
