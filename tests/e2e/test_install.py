"""The wheel as people install it: into an empty environment, outside the repository."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import storelog
from storelog.local.mongodb_download import this_platform
from support.embedded import EmbeddedServers, new_settings
from support.file_server import serving, stand_in_archive
from support.http import Client
from support.system import ANN, CAKE_STAND, System, free_port, wait_for

ROOT = Path(__file__).parent.parent.parent
INSTALL_SECONDS = 400.0
MONGODB = "8.0.99"
# Speaks the real wire protocol: it starts the server that the extra `local` brings.
STAND_IN = """#!{python}
import os, sys
if sys.argv[1:] == ["--version"]:
    print("db version v{version}")
    raise SystemExit
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
server = os.path.join(os.path.dirname("{python}"), "secantusd-py")
os.execv(server, [server, "--host", given["--bind_ip"], "--port", given["--port"],
                  "--sync-on-commit", "--storage-path", given["--dbpath"]])
"""


@dataclass(frozen=True)
class Installed:
    """An environment of its own with nothing but the wheel, and a folder to work in."""

    home: Path
    wheel: Path

    @property
    def python(self) -> str:
        return str(self.home / "venv" / "bin" / "python")

    def pip(self, *argv: str) -> None:
        done = self._run(
            [sys.executable, "-m", "pip", "--python", self.python, "install", "-q",
             "--disable-pip-version-check",
             "--constraint", str(ROOT / "constraints.txt"), *argv],
            INSTALL_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def storelog(self, *argv: str, seconds: float = 240) -> "subprocess.CompletedProcess[str]":
        return self._run([str(self.home / "venv" / "bin" / "storelog"), *argv], seconds)

    def _run(self, argv: list[str], seconds: float) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "XDG_DATA_HOME": str(self.home / "share"),
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        }
        return subprocess.run(
            argv, cwd=self.home, env=environment, capture_output=True, text=True,
            timeout=seconds, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    home = Path(tempfile.mkdtemp(prefix="storelog-install-"))
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(home), str(ROOT)]
    subprocess.run(build, check=True, timeout=INSTALL_SECONDS)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(home / "venv")], check=True, timeout=120
    )
    (wheel,) = home.glob("*.whl")
    made = Installed(home, wheel)
    made.pip(str(wheel))
    yield made
    shutil.rmtree(home, ignore_errors=True)


def test_the_services_run_without_the_embedded_servers(
    installed: Installed, servers: EmbeddedServers
) -> None:
    assert installed.storelog("--version").stdout == f"storelog {storelog.__version__}\n"
    lacking = installed.storelog("up")
    assert lacking.returncode == 3
    assert "storelog[local]" in lacking.stderr
    with System(new_settings(servers), python=installed.python) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product()["productId"]
        order = system.new_order(customer, (product, 2))["orderId"]
        system.wait_projected()
        assert system.queries.get(f"/orders/{order}").json["totalPrice"] == "25.50"
        for client in (system.commands, system.queries):
            assert client.get("/docs").status == 200


def test_up_works_outside_the_repository_and_with_a_fetched_mongodb(installed: Installed) -> None:
    installed.pip(f"{installed.wheel}[local]")
    with serving() as files:
        script = STAND_IN.format(python=installed.python, version=MONGODB)
        files.add(this_platform(MONGODB), stand_in_archive(MONGODB, script))
        fetched = installed.storelog(
            "install-mongodb", "--yes", "--version", MONGODB, "--mirror", files.url
        )
    assert fetched.returncode == 0, fetched.stderr
    ports = [free_port(), free_port()]
    argv = ["--detach", "--command-port", str(ports[0]), "--query-port", str(ports[1])]
    argv += ["--relay-port", str(free_port()), "--projector-port", str(free_port())]
    started = installed.storelog("up", *argv)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        status = json.loads(installed.storelog("status", "--json").stdout)
        versions = {server["name"]: server["version"] for server in status["servers"]}
        assert versions["mongodb"] == f"mongod v{MONGODB}"
        assert status["data_dir"] == str(installed.home / ".storelog")
        commands, queries = (Client(f"http://127.0.0.1:{port}") for port in ports)
        customer = commands.post("/customers", ANN).json["customerId"]
        product = commands.post("/products", CAKE_STAND).json["productId"]
        items = [{"productId": product, "quantity": 1}]
        order = commands.post("/orders", {"customerId": customer, "orderItems": items}).json
        path = f"/orders/{order['orderId']}"
        wait_for(lambda: queries.get(path).status == 200, "the order to be readable")
        looked = json.loads(installed.storelog("doctor", "--json").stdout)
        assert looked["problems"] == 0, looked
    finally:
        assert installed.storelog("down").returncode == 0


def test_the_shell_completes_commands(installed: Installed) -> None:
    words = {"COMP_WORDS": "storelog do", "COMP_CWORD": "1"}
    completed = complete(installed, "complete_bash", words)
    assert sorted(completed.split()) == ["doctor", "down"]
    assert "_STORELOG_COMPLETE" in complete(installed, "source_bash", {})


def complete(installed: Installed, instruction: str, words: dict[str, str]) -> str:
    """Return what the shell's completion gets; which shell runs the tests does not matter."""
    done = subprocess.run(
        [str(installed.home / "venv" / "bin" / "storelog")],
        env={"PATH": "/usr/bin:/bin", "_STORELOG_COMPLETE": instruction, **words},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout
