"""No process of ours ends by itself, but a relay that Kafka has lost events of.

Next: torture/checks/read_model.py
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from storelog.torture.report import TortureReport

MISMATCH = 3


@dataclass(frozen=True, slots=True)
class Ending:
    """Which process ended without a signal of the kit, with which code, saying what."""

    name: str
    code: int
    said: str


def check_endings(endings: Iterable[Ending], refilled: Set[str], report: TortureReport) -> None:
    """Compare with the topics that a fault deleted: until they are sent again a relay ends."""
    for ending in endings:
        names_one = any(
            f"has lost events that were sent: topic {t} " in ending.said for t in refilled
        )
        is_told = ending.name.startswith("relay") and ending.code == MISMATCH and names_one
        if not is_told:
            report.breach(
                f"{ending.name} ended by itself, exit {ending.code}: {ending.said or 'no error'}"
            )
