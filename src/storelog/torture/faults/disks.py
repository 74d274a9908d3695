"""Faults of disks: one server has no space left, and gets it back.

Next: torture/checks/progress.py
"""

from storelog.errors import CannotRun
from storelog.torture.faults.trial import Trial


def full_postgresql(trial: Trial) -> None:
    """PostgreSQL's disk is full: what it cannot write was not done."""
    _fill(trial, "postgresql")


def full_kafka(trial: Trial) -> None:
    """Kafka's disk is full: commands are accepted as before."""
    _fill(trial, "kafka")


def full_mongodb(trial: Trial) -> None:
    """MongoDB's disk is full: commands are accepted as before."""
    _fill(trial, "mongodb")


def _fill(trial: Trial, server: str) -> None:
    """Fill the disk under load, wait, empty it; the server may end of it, and is started again."""
    disks = trial.rig.disks
    if disks is None:
        raise CannotRun("the servers have no disks of their own")
    disks.fill(server)
    try:
        trial.wait(3, 8)
        if server != "postgresql":
            trial.expect_commands_accepted(f"{server} has no space left")
    finally:
        disks.empty(server)
    trial.rig.wait_ready([server])
