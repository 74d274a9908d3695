"""`storelog up` from outside: one command starts everything, and nothing is left when it ends."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import killed
from support.http import Client
from support.system import ANN, CAKE_STAND, free_port, wait_for
from support.up import Up, is_running, kill

STATUS = {
    "data_dir", "command_url", "query_url", "postgres_url", "kafka_bootstrap_servers",
    "mongodb_uri", "mongodb_database", "read_models", "processes", "servers", "lag",
}  # fmt: skip


# What runs on this machine is asked without the proxy that the environment names.
NO_PROXY_THERE = dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:1")


@pytest.fixture
def up() -> Iterator[Up]:
    home = Path(tempfile.mkdtemp(prefix="storelog-up-"))
    running = Up(home / "data", NO_PROXY_THERE)
    try:
        yield running
    finally:
        running.close()
        shutil.rmtree(home, ignore_errors=True)


def buy(up: Up) -> int:
    customer = up.commands.post("/customers", ANN).json["customerId"]
    product = up.commands.post("/products", CAKE_STAND).json["productId"]
    items = [{"productId": product, "quantity": 2}]
    reply = up.commands.post("/orders", {"customerId": customer, "orderItems": items})
    assert reply.status == 201, reply.raw
    order: int = reply.json["orderId"]
    return order


def test_it_starts_everything_once_and_down_leaves_nothing(up: Up) -> None:
    started = up.detach()
    assert started.returncode == 0, started.stdout + started.stderr
    assert up.commands.url in started.stdout
    assert "curl" in started.stdout
    status = up.status()
    assert status.keys() == STATUS
    assert [set(server) for server in status["servers"]] == [
        {"name", "version", "pid", "state"}
    ] * 3
    assert [p["name"] for p in status["processes"]] == [
        "command-service", "relay", "projector", "query-service",
    ]  # fmt: skip
    assert {p["state"] for p in status["processes"] + status["servers"]} == {"ready"}
    order = buy(up)
    wait_for(lambda: up.queries.get(f"/orders/{order}").status == 200, "the order to be readable")
    made = up.commands.post("/customers", ANN)
    where = f"{up.queries.url}/customers/{made.json['customerId']}"
    assert made.headers["location"] == where

    second = up.detach()
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert "already runs" in second.stderr
    other = Up(up.data_dir.parent / "other")
    other.command_port = up.command_port
    taken = other.detach()
    assert (taken.returncode, taken.stderr.count("\n")) == (2, 1)
    assert f"port {up.command_port} is in use" in taken.stderr
    other.command_port, other.relay_port = free_port(), up.relay_port
    taken = other.detach()
    assert (taken.returncode, taken.stderr.count("\n")) == (2, 1)
    assert f"port {up.relay_port} is in use: choose another with --relay-port" in taken.stderr
    for port in (up.relay_port, up.projector_port):
        assert Client(f"http://127.0.0.1:{port}").get("/metrics").status == 200

    pids = up.pids()
    assert up.cli("down").returncode == 0
    assert not [pid for pid in pids if is_running(pid)]
    assert up.cli("down").returncode == 0
    assert up.cli("status").returncode == 1
    assert {p["state"] for p in up.status()["processes"]} == {"stopped"}


def test_a_server_that_has_stopped_is_not_ready_in_status_and_doctor(up: Up) -> None:
    up.start()
    known = {server["name"]: server["version"] for server in up.status()["servers"]}
    found = {f["name"]: f for f in json.loads(up.cli("doctor", "--json").stdout)["findings"]}
    for name, shown in (("postgresql", "PostgreSQL"), ("kafka", "Kafka"), ("mongodb", "MongoDB")):
        assert found[shown]["found"].startswith(known[name]), found[shown]
    os.kill(up.pid("kafka"), signal.SIGSTOP)
    try:
        status, doctor = up.cli("status", "--json"), up.cli("doctor", "--json")
        migrate = up.cli("migrate")
    finally:
        os.kill(up.pid("kafka"), signal.SIGCONT)
    servers = {server["name"]: server for server in json.loads(status.stdout)["servers"]}
    assert status.returncode == 1
    assert servers["kafka"]["state"] == "failed" and servers["kafka"]["reason"]
    assert {servers[name]["state"] for name in ("postgresql", "mongodb")} == {"ready"}
    found = {f["name"]: f["state"] for f in json.loads(doctor.stdout)["findings"]}
    assert doctor.returncode == 1
    assert (found["Kafka"], found["PostgreSQL"], found["MongoDB"]) == ("problem", "ok", "ok")
    assert status.stderr == doctor.stderr == ""
    assert migrate.stderr.count("\n") == 1 and migrate.stderr.startswith("storelog: ")


def test_after_kill_9_of_everything_in_a_change_of_lanes_it_comes_back(up: Up) -> None:
    up.start()
    order = buy(up)
    wait_for(lambda: up.queries.get(f"/orders/{order}").status == 200, "the order to be readable")
    later = buy(up)
    # Nothing is sent and nothing is projected at that step.
    step, lanes = "storelog.upkeep.lanes:add_partitions@after", ("lanes", "set", "4")
    killed.kill(os.environ, step, *lanes, "--data-dir", str(up.data_dir))
    kill(up.pids())
    assert up.foreground is not None
    up.foreground.wait(10)
    again = up.detach()
    assert again.returncode == 0, again.stdout + again.stderr
    for number in (order, later):
        path = f"/orders/{number}"
        wait_for(lambda path=path: up.queries.get(path).status == 200, path)  # type: ignore[misc]
    shown = json.loads(up.cli("lanes", "show", "--json").stdout)
    assert (shown["lanes"], shown["wanted"]) == (3, None)
    verified = up.cli("verify")
    assert verified.returncode == 0, verified.stdout


def test_what_dies_is_restarted_and_when_up_is_killed_all_ends_in_10_s(up: Up) -> None:
    up.start()
    assert up.foreground is not None
    for name in ("projector", "command-service", "mongodb"):
        kill([up.pid(name)])

        def is_back(name: str = name) -> bool:
            status = up.status()
            found = next(e for e in status["processes"] + status["servers"] if e["name"] == name)
            return found["state"] == "ready" and up.pid(name) not in (None, 0)

        before = up.pid(name)
        wait_for(lambda name=name, before=before: up.pid(name) not in (None, before), name)  # type: ignore[misc]
        wait_for(is_back, f"{name} to be ready", 60)
    assert next(p for p in up.status()["processes"] if p["name"] == "projector")["restarts"] == 1
    order = buy(up)
    wait_for(lambda: up.queries.get(f"/orders/{order}").status == 200, "the order to be readable")
    pids = up.pids()
    up.foreground.send_signal(signal.SIGKILL)
    wait_for(lambda: not [pid for pid in pids if is_running(pid)], "all to end", 10)


# Letters of several scripts, blanks, and what shells, URLs, lists and properties give a meaning.
ODD_NAME = "Bücher & 商品, 50% #1 $x 'q' \"z\" {a} \\b;=:!"


def test_every_data_directory_works_twice(tmp_path: Path) -> None:
    there = tmp_path / ODD_NAME / ("long" * 40) / ("x" * 200)
    there.mkdir(parents=True)
    (tmp_path / "link").symlink_to(there)
    up = Up(tmp_path / "link", {"LC_ALL": "C"})
    try:
        started = up.detach()
        assert started.returncode == 0, started.stdout + started.stderr
        order = buy(up)
        wait_for(lambda: up.queries.get(f"/orders/{order}").status == 200, "the order")
        assert up.cli("down").returncode == 0
        started = up.detach()
        assert started.returncode == 0, started.stdout + started.stderr
        assert up.queries.get(f"/orders/{order}").status == 200
        assert buy(up) > order
    finally:
        up.close()
    assert {path.name for path in tmp_path.iterdir()} == {"link", ODD_NAME}
    assert [path.name for path in there.parent.iterdir()] == [there.name]


def test_ctrl_c_stops_everything_in_order_with_exit_0(up: Up) -> None:
    up.start()
    assert up.foreground is not None
    pids = up.pids()
    up.foreground.send_signal(signal.SIGINT)
    assert up.foreground.wait(60) == 0
    assert not [pid for pid in pids if is_running(pid)]
    assert up.foreground.stdout is not None
    said = up.foreground.stdout.read()
    assert "Storelog is ready" in said
    assert said.rstrip().endswith("stopped")
