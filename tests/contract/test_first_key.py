"""The first key that is ever made: what it closes, on all four processes, and that it says so."""

import json

from storelog.config import Settings
from storelog.local.servers import PROCESSES
from support.http import Client
from support.system import System, wait_for

# What every process has, and gives to readers only.
GUARDED = "/metrics"


def wait_status(service: Client, status: int) -> None:
    wait_for(lambda: service.get(GUARDED).status == status, f"{status} from {service.url}", 20)


def test_the_first_key_of_all_closes_both_doors(system: System) -> None:
    assert [c.get(GUARDED).status for c in (system.commands, system.queries)] == [200, 200]
    assert system.cli("keys", "create", "first", "--role", "admin").returncode == 0
    for service in (system.commands, system.queries):
        wait_status(service, 401)
    assert system.cli("keys", "revoke", "first").returncode == 0
    for service in (system.commands, system.queries):
        assert service.get(GUARDED).status == 401


def test_the_first_key_says_that_it_closes_both_services(settings: Settings) -> None:
    with System(settings, ()) as idle:
        first = idle.cli("keys", "create", "first", "--role", "admin").stdout
        assert "closes both services" in first
        assert "STORELOG_API_KEY" in first
        second = idle.cli("keys", "create", "second", "--role", "read").stdout
        assert "closes" not in second
        third = json.loads(idle.cli("keys", "create", "third", "--role", "read", "--json").stdout)
        assert third["is_first"] is False


def test_keys_of_postgresql_alone_close_the_metrics_of_all_four_processes(system: System) -> None:
    four = [Client(system.url(name)) for name in PROCESSES]
    for process in four:
        wait_for(lambda process=process: process.get(GUARDED).status == 200, "open metrics")  # type: ignore[misc]
    made = system.cli("keys", "create", "prometheus", "--role", "read", "--json")
    key = json.loads(made.stdout)["key"]
    for process in four:
        wait_status(process, 401)
        assert Client(process.url, key).get(GUARDED).status == 200
        assert process.get("/health/live").status == 200
