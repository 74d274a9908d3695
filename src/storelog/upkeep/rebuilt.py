"""The result of a rebuild, a rollback or a promotion. Next: upkeep/rebuild.py"""

from dataclasses import dataclass, field
from typing import Any

from storelog.verify.report import Report

Document = dict[str, Any]


@dataclass(slots=True)
class Rebuilt:
    """The result. `events` were folded in `seconds`; `report` compares with the live one."""

    database: str
    position: int = 0
    events: int = 0
    seconds: float = 0.0
    is_promoted: bool = False
    previous: str | None = None
    report: Report = field(default_factory=Report)

    def facts(self) -> Document:
        """Return it as JSON shows it."""
        compared = self.report.facts()
        return {
            "database": self.database,
            "position": self.position,
            "events": self.events,
            "seconds": round(self.seconds, 1),
            "eventsPerSecond": round(self.events / self.seconds) if self.seconds else 0,
            "checked": compared["checked"],
            "differences": compared["differences"],
            "promoted": self.is_promoted,
            "previous": self.previous,
        }
