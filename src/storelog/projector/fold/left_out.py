"""Which events are left out of the read model: the one rule for the projector and rebuilds. Pure.

A discarded event is left out. If it was its aggregate's first, every later event of the aggregate
is left out too, since there is no document that they could change. Events of other aggregates that
name it (a customer's orders, an order's lines) stay.
Next: projector/fold/lane_fold.py
"""

FIRST_VERSION = 1


class LeftOut:
    """What was discarded: single positions, and aggregates without their first event."""

    def __init__(self) -> None:
        self._positions: set[int] = set()
        self._aggregates: set[str] = set()

    def add(self, aggregate: str, position: int, version: int) -> None:
        """Leave out an event, which is the aggregate's event of that version."""
        self._positions.add(position)
        if version == FIRST_VERSION:
            self._aggregates.add(aggregate)

    def has(self, aggregate: str, position: int) -> bool:
        """Tell whether an event of the aggregate is left out."""
        return position in self._positions or aggregate in self._aggregates
