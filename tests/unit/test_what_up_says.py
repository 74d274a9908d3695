"""What `storelog up` says of trouble: why a process ended, what the read side lacks, what to do."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from storelog.config import Settings
from storelog.lag import Lag
from storelog.local import supervisor
from storelog.local.program import Program, last_error
from storelog.local.read_side_watch import ReadSideWatch
from storelog.local.supervisor import why_not
from storelog.server_setup import SetUp

CALM = Lag(9, 9, 9, 0, 0.0, 0)


def test_what_the_read_side_lacks_is_said_once_with_the_command_that_settles_it() -> None:
    said: list[str] = []
    watch = ReadSideWatch(Settings(), said.append, threading.Event())
    foreign = replace(CALM, foreign=5_000)
    for lag in (CALM, foreign, replace(foreign, foreign=6_000), CALM, foreign):
        watch.look(lag)
    assert len(said) == 2
    assert "5,000 records" in said[0]
    assert "storelog dead-letters discard --foreign" in said[0]
    watch.look(replace(foreign, dead_letters=3))
    assert "3 events" in said[2]
    assert "storelog dead-letters list" in said[2]


def test_the_last_error_of_a_process_is_found_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    assert last_error(log) is None
    log.write_text("storelog: earlier\n12:00 info relay is active\n")
    begun = log.stat().st_size
    assert last_error(log, begun) is None
    with log.open("a") as more:
        more.write("12:01 warning x\nstorelog: Kafka has lost events: `storelog resend --from 1`\n")
    assert last_error(log, begun) == "Kafka has lost events: `storelog resend --from 1`"


def test_why_a_process_is_not_ready_is_said_even_if_its_log_is_empty(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    silent = Program("relay", [], log, lambda: False, why_not_ready=lambda: "PostgreSQL is away.")
    assert why_not(silent) == f": PostgreSQL is away.; {log} has nothing"
    log.write_text("12:00 warning relay waits\n")
    assert (
        why_not(silent) == ": PostgreSQL is away.; its log ends with:\n  12:00 warning relay waits"
    )
    assert why_not(Program("kafka", [], log, lambda: False)).startswith("; its log ends with:")


def test_what_migrating_warns_of_and_advises_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def set_up(_settings: Settings) -> SetUp:
        return SetUp(3, ["run `storelog rebuild --promote`"], ["MongoDB: it has no validators"])

    monkeypatch.setattr(supervisor, "set_up_servers", set_up)
    said: list[str] = []
    up = supervisor.Supervisor(tmp_path, said.append)
    up._settings = Settings()
    asyncio.run(up._migrate())
    assert said == ["MongoDB: it has no validators", "run `storelog rebuild --promote`"]
