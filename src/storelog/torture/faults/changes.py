"""Faults of changes of the read side: a command gets SIGKILL while it runs.

Next: torture/faults/records.py
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from storelog.errors import CannotRun
from storelog.local import run_file
from storelog.projector.checkpoints import number_of_lanes
from storelog.projector.databases.connection import connect, pointer_of, sibling
from storelog.projector.databases.kept import BUILDING_ID
from storelog.read_side import POINTERS, Pointer
from storelog.torture.checks.progress import lanes_of, lanes_wanted
from storelog.torture.faults.servers import has_caught_up
from storelog.torture.faults.trial import Trial
from storelog.upkeep.rebuild import rebuild as build

SETTLED_SECONDS = 30.0
RUN_SECONDS = 600.0
LOOK_SECONDS = 0.01
MOST_LANES = 8
Home = Database[dict[str, Any]]
MomentTest = Callable[[Home, Pointer], bool]


def _fills(home: Home, _before: Pointer) -> bool:
    begun = home[POINTERS].find_one({"_id": BUILDING_ID}) or {}
    return begun.get("database") is not None


def _stands_still(home: Home, _before: Pointer) -> bool:
    return pointer_of(home).promoting is not None


def _has_switched(home: Home, before: Pointer) -> bool:
    return pointer_of(home).database != before.database


def interrupt_rebuild(trial: Trial) -> None:
    """Kill a rebuild while it fills a new read model."""
    _interrupt(trial, _fills, "rebuild")


def interrupt_promotion(trial: Trial) -> None:
    """Kill a promotion before or after its switch."""
    _interrupt(trial, trial.dice.choice((_stands_still, _has_switched)), "rebuild", "--promote")


def interrupt_rollback(trial: Trial) -> None:
    """Kill a rollback before or after its switch."""
    if not _can_roll_back(trial):
        asyncio.run(build(trial.rig.settings, "log", lambda *_: None, promote=True))
    _interrupt(trial, trial.dice.choice((_stands_still, _has_switched)), "rebuild", "--rollback")


def _can_roll_back(trial: Trial) -> bool:
    """Tell whether the previous read model is kept and has the current number of lanes."""
    home = connect(trial.rig.settings)
    try:
        previous = pointer_of(home).previous
        lanes = 0 if previous is None else number_of_lanes(sibling(home, previous))
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {error}") from error
    finally:
        home.client.close()
    return lanes == lanes_of(trial.rig.settings)


def interrupt_lanes(trial: Trial) -> None:
    """Kill a change of lanes at one of its steps: filling, waiting, switching, or after that."""

    def is_wanted(*_: object) -> bool:
        return lanes_wanted(trial.rig.settings) is not None

    lanes = min(lanes_of(trial.rig.settings) + 1, MOST_LANES)
    moment = trial.dice.choice((_fills, is_wanted, _stands_still, _has_switched))
    _interrupt(trial, moment, "lanes", "set", str(lanes))
    # Where everything written is readable already, nobody may have noticed the killed command yet.
    give_up_at = time.monotonic() + SETTLED_SECONDS
    while lanes_wanted(trial.rig.settings) is not None and not trial.stop.is_set():
        if time.monotonic() > give_up_at:
            trial.report.breach("lanes set: the change was neither taken back nor completed")
            return
        trial.stop.wait(0.25)


def _interrupt(trial: Trial, moment: MomentTest, *argv: str) -> None:
    """Run a command and kill it shortly after the moment; expect all to be readable in 30 s."""
    what = " ".join(argv)
    home = connect(trial.rig.settings)
    try:
        before = pointer_of(home)
        process = subprocess.Popen(
            [sys.executable, "-m", "storelog", *argv, "--data-dir", str(trial.rig.home)],
            env={**os.environ, **run_file.as_environment(trial.rig.settings)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _wait_for(trial, moment, home, before, process)
            # A random delay, so that over many trials the kill hits every step after the moment.
            trial.stop.wait(trial.dice.uniform(0, 0.2))
        finally:
            process.kill()
            _, said = process.communicate()
    except PyMongoError as error:
        raise CannotRun(f"{what}: MongoDB: {error}") from error
    finally:
        home.client.close()
    if process.returncode not in (0, -signal.SIGKILL):
        trial.report.breach(f"{what} ended with {process.returncode}: {said[-300:]}")
    if not has_caught_up(trial, SETTLED_SECONDS):
        trial.report.breach(f"{what} was killed: after {SETTLED_SECONDS:.0f} s nothing is readable")


def _wait_for(
    trial: Trial, moment: MomentTest, home: Home, before: Pointer, process: "subprocess.Popen[str]"
) -> None:
    give_up_at = time.monotonic() + RUN_SECONDS
    while process.poll() is None and not moment(home, before) and not trial.stop.is_set():
        if time.monotonic() > give_up_at:
            raise CannotRun(f"{process.args!r} makes no progress in {RUN_SECONDS:.0f} s")
        trial.stop.wait(LOOK_SECONDS)
