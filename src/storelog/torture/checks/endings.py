"""Checks that no process ends by itself, except a relay whose events Kafka has lost.

Next: torture/checks/read_model.py
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from storelog.torture.report import TortureReport

MISMATCH = 3


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a process without a signal of the kit: its exit code and last message."""

    name: str
    code: int
    said: str


def check_endings(endings: Iterable[Ending], refilled: Set[str], report: TortureReport) -> None:
    """Note endings as breaches, except those for topics that a fault has deleted."""
    # A relay must end there instead of going on: events before the new ones would be missing.
    for ending in endings:
        names_one = any(
            f"has lost events that were sent: topic {t} " in ending.said for t in refilled
        )
        is_told = ending.name.startswith("relay") and ending.code == MISMATCH and names_one
        if not is_told:
            report.breach(
                f"{ending.name} ended by itself, exit {ending.code}: {ending.said or 'no error'}"
            )
