"""Faults of servers: killed, away, emptied, or restored from an older copy of their files.

Next: torture/faults/topics.py
"""

import asyncio
import shutil
import signal
import time
from pathlib import Path

from storelog.torture.checks.progress import lanes_of, projected, written
from storelog.torture.faults.trial import Trial
from storelog.torture.rig import SERVERS
from storelog.upkeep.rebuild import rebuild

# The services that clients call. They must be ready before a server goes away, since one that is
# still starting could not respond then.
ASKED = ("command-service-1", "command-service-2", "query-service-1")
CATCH_UP_SECONDS = 60.0
CATCH_UP_EVENTS_A_SECOND = 200


def stop_postgresql(trial: Trial) -> None:
    """Stop PostgreSQL at once, in the middle of commits; the keeper restarts it."""
    for _ in range(3):
        trial.rig.send("postgresql", signal.SIGQUIT)
        trial.rig.wait_ready(["postgresql"])
        trial.wait(0.5, 2)


def postgresql_away(trial: Trial) -> None:
    """Keep PostgreSQL away: commands get 503 within a second, reads go on."""
    _away(trial, "postgresql", trial.dice.uniform(2, 8) * trial.scale)


def kill_kafka(trial: Trial) -> None:
    """Kill the Kafka broker; the keeper restarts it."""
    trial.rig.kill("kafka")
    trial.rig.wait_ready(["kafka"])
    trial.wait(0.5, 2)


def kafka_away(trial: Trial) -> None:
    """Keep Kafka away: commands are accepted as before, reads go on."""
    _away(trial, "kafka", trial.dice.uniform(3, 12) * trial.scale)


def kill_mongodb(trial: Trial) -> None:
    """Kill the MongoDB server in the middle of writes."""
    for _ in range(2):
        trial.rig.kill("mongodb")
        trial.rig.wait_ready(["mongodb"])
        trial.wait(0.5, 2)


def mongodb_away(trial: Trial) -> None:
    """Keep MongoDB away: commands are accepted as before."""
    _away(trial, "mongodb", trial.dice.uniform(3, 12) * trial.scale)


def away_for_minutes(trial: Trial) -> None:
    """Keep one server away for longer than every time-out; the same holds early and late."""
    _away(trial, trial.dice.choice(SERVERS), trial.dice.uniform(60, 180))


def _away(trial: Trial, server: str, seconds: float) -> None:
    trial.rig.wait_ready(ASKED)
    with trial.rig.held_down(server):
        if server == "postgresql":
            trial.rig.send(server, signal.SIGQUIT)
        else:
            trial.rig.kill(server)
        trial.rig.wait_ended(server)
        trial.wait(1, 2)
        _expect_service_without(trial, server)
        trial.stop.wait(seconds)
        _expect_service_without(trial, server)
    trial.rig.wait_ready([server])


def _expect_service_without(trial: Trial, server: str) -> None:
    meanwhile = f"{server} is away"
    if server == "postgresql":
        trial.expect_commands_rejected_in_time(meanwhile)
    else:
        trial.expect_commands_accepted(meanwhile)
    if server != "mongodb":
        trial.expect_reads_go_on(meanwhile)


def wipe_mongodb(trial: Trial) -> None:
    """Empty MongoDB: the projector fills it again from Kafka by itself."""
    with trial.rig.held_down("mongodb"):
        trial.rig.kill("mongodb")
        trial.rig.wait_ended("mongodb")
        _empty(_files(trial))
    if lanes_of(trial.rig.settings) > trial.rig.settings.kafka_lanes:
        # Records from before a change of lanes are in other partitions, so Kafka cannot fill it.
        trial.rig.wait_ready(["mongodb"])
        asyncio.run(rebuild(trial.rig.settings, "log", lambda *_: None, promote=True))
    wait_caught_up(trial, "MongoDB was emptied")


def older_mongodb(trial: Trial) -> None:
    """Restore MongoDB from an older copy of its files, which the projectors are not told of."""
    copy = trial.rig.home / "mongodb-copy"
    shutil.rmtree(copy, ignore_errors=True)
    with trial.rig.held_down("mongodb"):
        trial.rig.kill("mongodb")
        trial.rig.wait_ended("mongodb")
        shutil.copytree(_files(trial), copy)
    trial.rig.wait_ready(["mongodb"])
    trial.wait(3, 10)
    paused = [name for name in ("projector-1", "projector-2") if trial.dice.random() < 0.5]
    for name in paused:
        # A paused projector does not notice that the server was replaced by an older copy.
        trial.rig.send(name, signal.SIGSTOP)
    with trial.rig.held_down("mongodb"):
        trial.rig.kill("mongodb")
        trial.rig.wait_ended("mongodb")
        _empty(_files(trial))
        shutil.copytree(copy, _files(trial), dirs_exist_ok=True)
    trial.rig.wait_ready(["mongodb"])
    for name in paused:
        trial.rig.send(name, signal.SIGCONT)
    wait_caught_up(trial, "MongoDB came back older")


def wait_caught_up(trial: Trial, after: str) -> None:
    """Wait until the read model has everything that was written; else note a breach."""
    trial.rig.wait_ready(["mongodb"])
    target, began = written(trial.rig.settings), time.monotonic()
    limit = CATCH_UP_SECONDS + target / CATCH_UP_EVENTS_A_SECOND
    if not has_caught_up(trial, limit):
        at = projected(trial.rig.settings)
        trial.report.breach(f"{after}: at {at} of {target} after {limit:.0f} s")
        return
    took = time.monotonic() - began
    trial.report.slowest_recovery = max(trial.report.slowest_recovery, round(took, 1))


def has_caught_up(trial: Trial, seconds: float) -> bool:
    """Wait up to `seconds` until the read model has everything written by now; return if it has."""
    target, give_up_at = written(trial.rig.settings), time.monotonic() + seconds
    while projected(trial.rig.settings) < target:
        if time.monotonic() > give_up_at:
            return False
        trial.stop.wait(0.25)
    return True


def _empty(home: Path) -> None:
    """Remove a server's files; its folders stay."""
    for place in home.iterdir():
        if place.is_dir():
            shutil.rmtree(place)
            place.mkdir()
        else:
            place.unlink()


def _files(trial: Trial) -> Path:
    return trial.rig.home / "mongodb"
