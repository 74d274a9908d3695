"""Notices lanes that wait for a record that does not come.

Each lane is watched by itself, so that a moving lane cannot hide one that stands.
Next: projector/receive/lane.py
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ALARM_SECONDS = 10.0
ADVICE = (
    "`storelog resend --from POSITION` sends it again; if Kafka has removed it and MongoDB was"
    " restored from an older copy, `storelog rebuild --promote` fills the read model from the log"
)


@dataclass(slots=True)
class Alarm:
    """The lanes that wait, and since when; used from one thread."""

    _since: dict[int, tuple[int, float]] = field(default_factory=dict)
    _read_again_at: dict[int, int] = field(default_factory=dict)

    def stuck(self, places: Mapping[int, int], now: float) -> dict[int, int]:
        """Return the lanes that have stood for ALARM_SECONDS, each once in that time.

        `places`: the lanes that wait now, each with the last position that it has taken. `now`:
        seconds of a monotonic clock.
        """
        for lane in [lane for lane in self._since if lane not in places]:
            del self._since[lane]
        stuck = {}
        for lane, place in places.items():
            known, since = self._since.get(lane, (-1, now))
            if known != place:
                self._since[lane] = (place, now)
            elif now - since > ALARM_SECONDS:
                self._since[lane] = (place, now)
                stuck[lane] = place
        return stuck

    def reset(self) -> None:
        """Forget the time before now: the lanes stood still for a change, not for a record."""
        self._since.clear()

    def to_read_again(self, stuck: Mapping[int, int]) -> list[int]:
        """Return the lanes that were not read again yet at the position where they stand."""
        # Once for each position: a record that Kafka does not have any more would otherwise make
        # the lane read its whole topic again every ALARM_SECONDS.
        lanes = [n for n, place in stuck.items() if self._read_again_at.get(n) != place]
        self._read_again_at |= stuck
        return lanes
