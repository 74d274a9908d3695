"""The state that commands are decided on: what is known at one head of the log.

All state follows from the log, so it is right as long as the log's head has not moved;
`append_batch` rejects a batch whose head has moved, and then everything here is dropped.
Next: command_service/batch.py
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from storelog.envelope import GENESIS_HASH
from storelog.shop.aggregate import Aggregate
from storelog.shop.columns import has_lines
from storelog.shop.events import ENTITIES
from storelog.shop.unique import Holders

# Aggregates of one kind, by their ids.
Aggregates = dict[int, Aggregate[Any] | None]
# Bounds the memory of a service that comes to touch every entity of a large shop.
MAX_KEPT = 50_000
_WITH_LINES = frozenset(each.collection for each in ENTITIES if has_lines(each.structure))
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Head:
    """The newest event of the log: its position, its hash, when it was recorded, and the history.

    For a batch that was not sent yet only the position is known. The rest is filled in when it is
    sent; the next batch, which is based on the same object, then sees it.
    """

    position: int = 0
    hash: bytes = GENESIS_HASH
    recorded_at: datetime = BEFORE_ALL
    history: str = ""


def _none() -> dict[str, Aggregates]:
    return {entity.collection: {} for entity in ENTITIES}


@dataclass(slots=True)
class State:
    """Aggregates as of `head`, by collection and id; None for one that is known not to exist.

    They and the holders of unique values are kept from batch to batch, except aggregates with
    lines, since there are many: for these `known` has what the batch being decided has touched, and
    `before` what the previous batch has touched, which may not be in the tables yet.
    """

    head: Head
    known: dict[str, Aggregates] = field(default_factory=_none)
    before: dict[str, Aggregates] = field(default_factory=_none)
    holders: Holders = field(default_factory=Holders)

    def after(self, head: Head) -> "State | None":
        """Return the state that a batch leaves, with the log at `head`.

        None where too much is kept: what the batch has touched cannot be dropped before it is
        written, so the state is read anew then.
        """
        kept = {name: some for name, some in self.known.items() if name not in _WITH_LINES}
        if max(len(self.holders), *map(len, kept.values())) > MAX_KEPT:
            return None
        return State(head, _none() | kept, self.known, self.holders)
