"""Faults of disks: a server has no space left, and gets it back later.

Next: torture/checks/progress.py
"""

from storelog.errors import CannotRun
from storelog.torture.faults.trial import Trial


def full_postgresql(trial: Trial) -> None:
    """Fill PostgreSQL's disk: a command that cannot be written has no effect."""
    _fill(trial, "postgresql")


def full_kafka(trial: Trial) -> None:
    """Fill Kafka's disk: commands are accepted as before."""
    _fill(trial, "kafka")


def full_mongodb(trial: Trial) -> None:
    """Fill MongoDB's disk: commands are accepted as before."""
    _fill(trial, "mongodb")


def _fill(trial: Trial, server: str) -> None:
    """Fill the disk under load, wait, and empty it; the keeper restarts a server that ends."""
    disks = trial.rig.disks
    if disks is None:
        raise CannotRun("the servers have no disks of their own")
    disks.fill(server)
    try:
        trial.wait(3, 8)
        # Without PostgreSQL no command can be accepted; without the others all must be.
        if server != "postgresql":
            trial.expect_commands_accepted(f"{server} has no space left")
    finally:
        disks.empty(server)
    trial.rig.wait_ready([server])
