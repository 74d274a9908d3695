"""The command line: exit codes, one-line errors, facts as JSON."""

import json
import signal
import subprocess
import sys
import threading
import time
from typing import IO

import pytest

from storelog.local.servers import PROCESSES
from support.cli import run
from support.system import System, wait_for


@pytest.mark.parametrize("argv", [["nothing"], ["up", "--nothing"], ["events", "--limit", "x"], []])
def test_bad_use_is_exit_2(argv: list[str]) -> None:
    assert run(*argv).returncode == 2


@pytest.mark.parametrize("command", ["config", "command-service", "relay", "migrate", "up"])
@pytest.mark.alone
def test_a_bad_setting_is_one_line_and_exit_2_within_2_s(command: str) -> None:
    began = time.monotonic()
    done = run(command, STORELOG_KAFKA_LANES="many")
    assert time.monotonic() - began < 5
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    for part in ("STORELOG_KAFKA_LANES", "many", "1 to 256"):
        assert part in done.stderr


@pytest.mark.parametrize(
    "command",
    ["lag", "migrate", "verify", "events", "demo", "command-service", "relay", "projector"],
)
def test_when_nothing_runs_it_is_one_line_and_exit_3(command: str) -> None:
    done = run(command)
    assert done.returncode == 3
    assert done.stderr.strip().count("\n") == 0
    assert done.stderr.startswith("storelog: ")


def test_beyond_loopback_a_key_is_needed() -> None:
    urls = {
        "STORELOG_POSTGRES_URL": "postgresql://x@127.0.0.1:1/x",
        "STORELOG_MONGODB_URI": "mongodb://127.0.0.1:1/x",
    }
    for command in ("command-service", "query-service"):
        done = run(command, "--host", "0.0.0.0", "--port", "1", **urls)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "STORELOG_ALLOW_ANONYMOUS" in done.stderr


def test_a_service_without_an_openid_provider_loads_no_http_client() -> None:
    # Loading it is a sixth of what a service takes to start.
    program = (
        "import sys; from storelog.command_service import app; from storelog.query_service import"
        " app; print({'aiohttp', 'jwt'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("command", [*PROCESSES, "up"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_no_process_starts_for_everyone_without_a_setting_that_names_its_hosts(
    command: str, host: str
) -> None:
    urls = {
        "STORELOG_POSTGRES_URL": "postgresql://x@127.0.0.1:1/x",
        "STORELOG_MONGODB_URI": "mongodb://127.0.0.1:1/x",
        "STORELOG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "STORELOG_ALLOW_ANONYMOUS": "true",
    }
    listen = [] if command == "up" else ["--host", host, "--port", "1"]
    done = run(command, *listen, **urls)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "STORELOG_ALLOWED_HOSTS" in done.stderr
    assert "STORELOG_ALLOW_ANONYMOUS" in done.stderr


def test_config_shows_values_with_their_sources_and_masks_secrets() -> None:
    secret = "postgresql://ann:k9-hidden@db/shop"
    done = run("config", "--json", STORELOG_POSTGRES_URL=secret)
    settings = {row["name"]: row for row in json.loads(done.stdout)["settings"]}
    assert settings["STORELOG_POSTGRES_URL"]["value"] == "postgresql://ann:***@db/shop"
    assert settings["STORELOG_POSTGRES_URL"]["source"] == "environment"
    assert settings["STORELOG_COMMAND_DEADLINE_SECONDS"]["unit"] == "seconds"
    assert "k9-hidden" not in done.stdout + run("config", STORELOG_POSTGRES_URL=secret).stdout


def test_lag_is_zero_once_everything_is_projected(shop: System) -> None:
    shop.new_customer()
    shop.wait_projected()
    # What is projected was sent; the relay's row says so a moment later.
    relayed = "SELECT position FROM relay_cursor"
    wait_for(lambda: shop.sql(relayed)[0]["position"] == shop.written(), "the relay's row", 20)
    lag = json.loads(shop.cli("lag", "--json").stdout)
    assert lag.keys() == {
        "written", "relayed", "projected", "events_behind", "seconds_behind", "dead_letters",
        "foreign",
    }  # fmt: skip
    assert lag["written"] == lag["relayed"] == lag["projected"] == shop.written()
    assert (lag["events_behind"], lag["seconds_behind"], lag["dead_letters"]) == (0, 0, 0)


def test_events_prints_one_json_event_a_line(shop: System) -> None:
    product = shop.new_product()["productId"]
    path = f"/products/{product}/stock-adjustments"
    for delta in (1, 2, 3):
        shop.commands.post(path, {"delta": delta, "reason": "x"})
    done = shop.cli("events", "--aggregate", f"product-{product}", "--limit", "3")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["version"] for event in events] == [1, 2, 3]
    after = str(events[-1]["position"])
    rest = shop.cli("events", "--aggregate", f"product-{product}", "--after", after)
    assert [json.loads(line)["version"] for line in rest.stdout.splitlines()] == [4]
    everything = shop.cli("events").stdout.splitlines()
    assert len(everything) == shop.written()


def test_events_that_come_are_printed_until_ctrl_c(shop: System) -> None:
    after = str(shop.written())
    printed: list[str] = []

    def read(output: IO[str]) -> None:
        printed.extend(iter(output.readline, ""))

    with subprocess.Popen(
        [sys.executable, "-m", "storelog", "events", "--follow", "--after", after],
        env=shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        reading = threading.Thread(target=read, args=[following.stdout])
        reading.start()
        try:
            shop.new_customer()
            wait_for(lambda: len(printed) == 1, "what was there")
            body = {"name": "Eve", "email": "e@x"}
            made = shop.commands.post("/customers", body, {"X-Correlation-ID": "call-9"})
            wait_for(lambda: len(printed) == 2, "what is new")
            event = json.loads(printed[1])
            assert (event["position"], event["correlationId"]) == (made.position, "call-9")
            assert event["aggregate"] == f"customer-{made.json['customerId']}"
            assert following.poll() is None
            following.send_signal(signal.SIGINT)
            assert following.wait(30) == 130
            assert "Traceback" not in following.stderr.read()
        finally:
            following.kill()
            reading.join(10)


def test_the_demo_trades_and_leaves_a_shop_that_agrees(shop: System) -> None:
    done = shop.cli(
        "demo", "--orders-per-second", "100", "--duration", "2", "--seed", "3", "--json"
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert sum(n for what, n in shown["answers"].items() if what.startswith("orders")) >= 190
    assert shop.cli("verify").returncode == 0


def test_a_bad_retail_file_is_rejected_before_anything_is_sent(
    shop: System, tmp_path: object
) -> None:
    from pathlib import Path

    from support.retail import HEADER

    written = shop.written()
    path = Path(str(tmp_path)) / "bad.csv"
    path.write_text(f"{HEADER}\n1,A,x,1,2010-12-01 08:26:00,1,1,UK\n1,A,x,one,2010-12-01,1,1,UK\n")
    done = shop.cli("import", "retail", str(path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "line 3: Quantity 'one'" in done.stderr
    assert shop.written() == written


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["dead-letters", "show", "\udcff"], 2),
        (["dead-letters", "retry", "\udcff"], 2),
        (["dead-letters", "discard", "a\udcff"], 2),
        (["keys", "revoke", "\udcff"], 2),
        (["events", "--aggregate", "\udcff"], 2),
    ],
)
def test_an_argument_that_is_not_utf_8_is_one_line_and_bad_use(
    shop: System, argv: list[str], code: int
) -> None:
    done = shop.cli(*argv)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
    assert done.stderr.startswith("storelog: ")


@pytest.mark.parametrize("command", ["up", "status", "events", "config", "command-service"])
def test_an_empty_data_dir_is_bad_use_and_not_this_directory(command: str) -> None:
    done = run(command, "--data-dir", "")
    assert done.returncode == 2
    assert "--data-dir" in done.stderr


@pytest.mark.parametrize("command", ["dead-letters", "rebuild", "query-service", "projector"])
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://user@127.0.0.1:1/shop", "password"),
        ("mongodb+srv://127.0.0.1/shop", "mongodb+srv://"),
    ],
)
def test_an_address_of_mongodb_that_its_driver_rejects_is_one_line_and_exit_3(
    command: str, uri: str, reason: str
) -> None:
    argv = [command, "list"] if command == "dead-letters" else [command]
    others = {
        "STORELOG_POSTGRES_URL": "postgresql://127.0.0.1:1/shop",
        "STORELOG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    done = run(*argv, STORELOG_MONGODB_URI=uri, **others)
    assert done.returncode == 3
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert done.stderr.startswith("storelog: STORELOG_MONGODB_URI: ")
    assert reason in done.stderr
