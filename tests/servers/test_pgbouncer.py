"""Behind a PgBouncer of Debian's package: session mode works, the other modes are errors."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from storelog.config import Settings
from storelog.local import postgres
from support.debian import library_path, unpacked
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.system import ANN, System, free_port, wait_for

pytestmark = pytest.mark.servers
PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")
# Nothing but what it takes to run: all else is as the package has it.
INI = """[databases]
* = host=127.0.0.1 port={behind}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {home}/users
pool_mode = {mode}
"""
Behind = Callable[[str], Settings]


@contextmanager
def pgbouncer(behind: int, mode: str) -> Iterator[int]:
    """Give the port of a PgBouncer before the PostgreSQL on the port `behind`."""
    root, home, port = unpacked(*PACKAGES), Path(tempfile.mkdtemp(prefix="storelog-")), free_port()
    (home / "pgbouncer.ini").write_text(
        INI.format(behind=behind, port=port, home=home, mode=mode), "utf-8"
    )
    (home / "users").write_text('"postgres" ""\n', "utf-8")
    program = shutil.copy(root / "usr/sbin/pgbouncer", home)
    user = None
    if os.geteuid() == 0:
        # It does not run as root, like PostgreSQL.
        user = postgres.USER
        for path in (home, *home.iterdir()):
            shutil.chown(path, user)
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(home / "pgbouncer.ini")],
            env={"LD_LIBRARY_PATH": library_path(root)},
            user=user,
            stdout=log,
            stderr=log,
        )

    def listens() -> bool:
        assert process.poll() is None, (home / "log").read_text("utf-8")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(listens, "PgBouncer")
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def behind(servers: EmbeddedServers) -> Iterator[Behind]:
    """What gives the settings of a new system whose PostgreSQL is behind a PgBouncer."""
    with ExitStack() as stack:

        def make(mode: str) -> Settings:
            settings = new_settings(servers)
            address = urlsplit(settings.postgres_url or "")
            port = stack.enter_context(pgbouncer(address.port or 0, mode))
            url = address._replace(netloc=f"postgres@127.0.0.1:{port}").geturl()
            return replace(settings, postgres_url=url)

        yield make


def test_in_session_mode_an_order_goes_the_whole_way(behind: Behind) -> None:
    with System(behind("session")) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(stock=100)["productId"]
        orders = [system.new_order(customer, (product, 2))["orderId"] for _ in range(20)]
        system.wait_projected()
        assert system.queries.get(f"/orders/{orders[-1]}").json["totalPrice"] == "25.50"
        for verb in ("migrate", "verify", "doctor"):
            done = system.cli(verb)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_rejected_with_one_sentence(
    behind: Behind, mode: str
) -> None:
    system = System(behind(mode), ())
    with system:
        done = system.cli("migrate")
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert "pool_mode to session" in done.stderr
        assert "pool_mode to session" in system.cli("doctor").stdout
        for name in ("command-service", "relay"):
            system.start(name)
            _wait_refused(system, name)
        for _ in range(3):
            reply = system.commands.post("/customers", ANN)
            assert (reply.status, reply.slug) == (503, "unavailable")


def _wait_refused(system: System, name: str) -> None:
    def says_why() -> bool:
        try:
            ready = Client(system.url(name)).get("/health/ready")
        except OSError:
            return False
        assert ready.status == 503, system.log(name)
        return "pool_mode to session" in ready.json["detail"]

    wait_for(says_why, f"{name} to say why it is not ready", 30)
