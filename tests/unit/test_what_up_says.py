"""What `storelog up` says of trouble: why a process ended, what the read side lacks, what to do."""

import threading
from dataclasses import replace
from pathlib import Path

from storelog.config import Settings
from storelog.lag import Lag
from storelog.local.program import last_error
from storelog.local.read_side_watch import ReadSideWatch

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
