"""Tells which events the read model lacks because of dead letters: verify's own derivation.

Parked and waiting events are in the dead letters, each by its position. A discarded event is left
out; if it was its aggregate's first, all later events of the aggregate are left out as well.
Next: verify/verify.py
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from pymongo.asynchronous.database import AsyncDatabase


class Placed(Protocol):
    """What names an event: its position, its aggregate, and its version there."""

    @property
    def position(self) -> int:
        """The position in the log."""

    @property
    def aggregate(self) -> str:
        """The name of the aggregate."""

    @property
    def version(self) -> int:
        """Which event of the aggregate it is, from 1."""


AnyPlaced = TypeVar("AnyPlaced", bound=Placed)
Letters = list[dict[str, Any]]
DEAD_LETTERS = "dead_letters"


async def read_letters(database: AsyncDatabase[dict[str, Any]]) -> Letters:
    """Return the dead letters with their positions in the log."""
    fields = {"position": 1, "state": 1, "lane": 1}
    return await database[DEAD_LETTERS].find({}, fields).to_list()


async def read_absent(database: AsyncDatabase[dict[str, Any]]) -> set[int]:
    """Return the positions that have dead letters now."""
    letters = await read_letters(database)
    return {int(letter["position"]) for letter in letters if letter["position"] is not None}


class Absent:
    """The dead letters as they were last read; `has` must be called in log order."""

    def __init__(self) -> None:
        self.positions: frozenset[int] = frozenset()
        self.discarded: frozenset[int] = frozenset()
        self._left_out: set[str] = set()

    def take(self, letters: Iterable[Mapping[str, Any]]) -> None:
        """Take the present dead letters; `has` then begins again with the log's first event."""
        placed = [letter for letter in letters if letter["position"] is not None]
        self.positions = frozenset(int(letter["position"]) for letter in placed)
        self.discarded = frozenset(
            int(letter["position"]) for letter in placed if letter["state"] == "discarded"
        )

    def without(self, events: Iterable[AnyPlaced]) -> list[AnyPlaced]:
        """Return the events that must be in the read model."""
        return [event for event in events if not self.has(event)]

    def has(self, event: Placed) -> bool:
        """Tell whether the read model must lack an event."""
        # Without its first event, no later event of the aggregate can be applied.
        if event.version == 1 and event.position in self.discarded:
            self._left_out.add(event.aggregate)
        return event.position in self.positions or event.aggregate in self._left_out
