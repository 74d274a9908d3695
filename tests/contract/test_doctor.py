"""`storelog doctor`: what is wrong, and what to do."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from storelog.config import Settings
from storelog.doctor import machine
from support.embedded import EmbeddedServers, new_settings
from support.system import System

Findings = dict[str, dict[str, str]]


def doctor(home: Path, code: int, **environment: str) -> Findings:
    done = subprocess.run(
        [sys.executable, "-m", "storelog", "doctor", "--json", "--data-dir", str(home / "data")],
        capture_output=True, text=True, timeout=60, check=False, cwd=home,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    found = {finding["name"]: finding for finding in facts["findings"]}
    assert facts["problems"] == sum(f["state"] == "problem" for f in found.values())
    assert (facts["problems"] > 0) == (code == 1)
    for finding in found.values():
        assert (finding["state"] == "ok") == (finding["advice"] == ""), finding
    return found


def test_a_fresh_machine_needs_nothing_to_begin(tmp_path: Path) -> None:
    found = doctor(tmp_path, 0)
    assert {"python", "data directory", "disk", "keys", "port 8080", "port 8081"} <= found.keys()
    for name in ("PostgreSQL", "Kafka", "MongoDB"):
        assert "`storelog up` brings" in found[f"embedded {name}"]["found"]
    assert not (tmp_path / "data").exists(), "it changes nothing"


def test_servers_that_are_away_are_problems_with_advice(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        found = doctor(
            tmp_path,
            1,
            STORELOG_POSTGRES_URL="postgresql://shop:secret@127.0.0.1:1/storelog",
            STORELOG_KAFKA_BOOTSTRAP_SERVERS=address,
            STORELOG_MONGODB_URI="mongodb://shop:secret@127.0.0.1:1/",
        )
    for name, setting in (
        ("PostgreSQL", "STORELOG_POSTGRES_URL"),
        ("Kafka", "STORELOG_KAFKA_BOOTSTRAP_SERVERS"),
        ("MongoDB", "STORELOG_MONGODB_URI"),
    ):
        assert found[name]["state"] == "problem"
        assert setting in found[name]["advice"]
        assert "secret" not in json.dumps(found[name])


def test_servers_are_looked_at_before_and_after_migrating(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    system = System(new_settings(servers))
    good = doctor(tmp_path, 0, **_servers(system))
    assert good["PostgreSQL"]["found"].startswith("18.")
    assert "migrated" in good["PostgreSQL"]["found"]
    assert "3 lanes" in good["Kafka"]["found"]
    assert "with indexes" in good["MongoDB"]["found"]
    system.sql("DELETE FROM schema_migrations WHERE name = '0002_append_batch.sql'")
    strange = {
        **_servers(system),
        "STORELOG_KAFKA_TOPIC_PREFIX": "nobody-",
        "STORELOG_MONGODB_URI": (system.settings.mongodb_uri or "").replace("/t", "/nobody"),
    }
    bad = doctor(tmp_path, 1, **strange)
    for name in ("PostgreSQL", "Kafka", "MongoDB"):
        assert "storelog migrate" in bad[name]["advice"], bad[name]


def test_a_mongodb_that_has_lost_the_keys_is_named_and_tokens_count_as_keys(
    settings: Settings, tmp_path: Path
) -> None:
    with System(settings, ()) as system:
        system.mongo.api_keys.delete_one({"_id": "keys"})
        provider = {
            "STORELOG_OIDC_ISSUER": "https://login.example",
            "STORELOG_OIDC_AUDIENCE": "shop",
            "STORELOG_ALLOW_ANONYMOUS": "true",
        }
        found = doctor(tmp_path, 1, **_servers(system), **provider)
    assert "API keys" in found["MongoDB"]["found"]
    assert "storelog migrate" in found["MongoDB"]["advice"]
    assert found["keys"]["state"] == "ok"
    assert "https://login.example" in found["keys"]["found"]


def _servers(system: System) -> dict[str, str]:
    wanted = ("POSTGRES_URL", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC_PREFIX", "MONGODB_URI")
    return {f"STORELOG_{name}": system.environment[f"STORELOG_{name}"] for name in wanted}


def test_a_data_directory_that_cannot_be_and_open_doors_are_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    found = doctor(tmp_path, 1, STORELOG_ALLOW_ANONYMOUS="true")
    assert found["data directory"]["state"] == "problem"
    assert found["keys"]["state"] == "warning"


def test_little_disk_is_a_warning_and_none_a_problem(monkeypatch: Any, tmp_path: Path) -> None:
    for free, state in ((2 * 1024**3, "warning"), (1024**2, "problem"), (10 * 1024**3, "ok")):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr("storelog.doctor.machine.shutil.disk_usage", lambda _, u=usage: u)
        assert machine.disk(tmp_path).state == state
