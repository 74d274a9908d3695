"""No secret where others can read it: the process list, `run.json`, what is shown of settings."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from storelog.config import Settings, load, shown
from storelog.local import run_file
from storelog.local.servers import processes

SECRET = "s3cret-s3cret"
SETTINGS = Settings(
    postgres_url=f"postgresql://ann:{SECRET}@db/shop?password={SECRET}",
    mongodb_uri=f"mongodb://ann:{SECRET}@db/shop",
    kafka_sasl_password=SECRET,
    api_key=SECRET,
    relay_url="http://127.0.0.1:1",
    projector_url="http://127.0.0.1:2",
)


def test_no_setting_is_shown_with_its_secret() -> None:
    for entry in fields(Settings):
        assert SECRET not in shown(entry.name, getattr(SETTINGS, entry.name))


def test_the_process_list_shows_no_secret(tmp_path: Path) -> None:
    for program in processes(SETTINGS, tmp_path, run_file.as_environment(SETTINGS)):
        assert SECRET not in " ".join(program.argv)


def test_run_json_is_its_users_own(tmp_path: Path) -> None:
    run_file.write(tmp_path, {"settings": run_file.as_environment(SETTINGS)})
    path = tmp_path / "run.json"
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORELOG_POSTGRES_URL", f"mysql://ann:{SECRET}@db/shop"),
        ("STORELOG_MONGODB_URI", f"http://ann:{SECRET}@db/shop"),
        ("STORELOG_API_KEYS", f"ann:boss:{SECRET}"),
    ],
)
def test_a_bad_secret_is_rejected_without_being_shown(
    name: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=name) as refused:
        load(environ={name: value}, data_dir=tmp_path)
    assert SECRET not in str(refused.value)
