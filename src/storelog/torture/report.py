"""The report of a run: what it did, and the broken promises that it found.

Next: torture/checks/__init__.py
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_BREACHES = 200


@dataclass(slots=True)
class TortureReport:
    """The plan, the counts, and each breach of a promise as a sentence."""

    seed: int
    kinds: Sequence[str]
    minutes: float
    is_once: bool
    trials: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    refilled: set[str] = field(default_factory=set)
    slowest_rejection: float = 0.0
    slowest_recovery: float = 0.0
    slowest_resumption: float = 0.0
    settled_seconds: float = 0.0
    lag_seconds: float = 0.0
    is_interrupted: bool = False

    def breach(self, what: str) -> None:
        """Note that a promise did not hold."""
        # One fault can break thousands of promises; the first ones tell the cause.
        if len(self.breaches) < MAX_BREACHES:
            self.breaches.append(what)

    def count(self, what: str, number: int) -> None:
        """Add to the number of checks of a kind."""
        self.checked[what] = self.checked.get(what, 0) + number

    def facts(
        self,
        seconds: float,
        kills: Mapping[str, int],
        endings: Mapping[str, int],
        statuses: Mapping[str, int],
    ) -> dict[str, Any]:
        """Return the whole report as one JSON object."""
        return {
            "seed": self.seed,
            "kinds": list(self.kinds),
            "minutes": self.minutes,
            "once": self.is_once,
            "seconds": round(seconds),
            "trials": sum(self.trials.values()),
            "faults": dict(sorted(self.trials.items())),
            "kills": dict(sorted(kills.items())),
            "ended": dict(sorted(endings.items())),
            "answers": dict(sorted(statuses.items())),
            "checked": self.checked,
            "left_out": self.left_out,
            "refused_within_seconds": self.slowest_rejection,
            "resumed_within_seconds": self.slowest_resumption,
            "healed_within_seconds": self.slowest_recovery,
            "settled_within_seconds": self.settled_seconds,
            "lag_seconds": self.lag_seconds,
            "interrupted": self.is_interrupted,
            "breaches": self.breaches,
        }
