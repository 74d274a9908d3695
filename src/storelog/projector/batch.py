"""One batch: what some lanes write together, from the first event that is collected on.

Plain data. The folds add to it, the lanes say where they are once it is written, and `write/` puts
it into MongoDB. All lanes share one, since a write costs the server the same again for each lane
that has its own.
Next: projector/fold/lane_fold.py
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from storelog.documents.ledgers import Fact
from storelog.projector.checkpoints import Bounds, Checkpoint
from storelog.projector.receive.foreign import ForeignLetters
from storelog.projector.receive.record import Record
from storelog.read_models.read_model import Write
from storelog.read_models.totals import Added, Addition, Key

# A transaction is kept in the server's cache until it ends. The embedded server, which has 256 MiB
# of it, stood still for good in one of 10,000 events; some 1,000 are written about fastest.
MAX_EVENTS = 1_000
MAX_BYTES = 4 * 1024 * 1024
# An event's position, when it was recorded, and where the lane's documents ended with it.
Note = tuple[int, int, Bounds]
# An event's position, its type, and what followers are told of it.
LiveChange = tuple[int, str, dict[str, Any]]


def _lists() -> defaultdict[Any, list[Any]]:
    return defaultdict(list)


@dataclass(frozen=True, slots=True)
class Announced:
    """Watermarks that a lane has not reached: when the oldest was recorded, the newest position."""

    oldest_recorded_at: str | None
    newest: int


@dataclass(slots=True)
class Batch:
    """What is written together. Where a key is a number alone, it is the lane's.

    `is_late`: the events waited as dead letters, so later ones may be in the sums already.
    `documents`, `marks`: by collection and id; `sums`: by collection, then lane and key; `changes`:
    by block and lane. `bounds`: of lanes whose documents have moved theirs. `checkpoints`: where
    each lane is once this is written. `traced`: the records, where traces are kept.
    """

    is_late: bool = False
    events: int = 0
    documents: dict[str, dict[int, Write]] = field(default_factory=dict)
    marks: dict[str, dict[int, Write]] = field(default_factory=dict)
    sums: dict[str, dict[tuple[int, Key], list[Addition]]] = field(default_factory=dict)
    changes: defaultdict[tuple[int, int], list[LiveChange]] = field(default_factory=_lists)
    facts: defaultdict[int, list[Fact]] = field(default_factory=_lists)
    notes: defaultdict[int, list[Note]] = field(default_factory=_lists)
    bounds: dict[int, Bounds] = field(default_factory=dict)
    dead_letters: defaultdict[int, list[dict[str, Any]]] = field(default_factory=_lists)
    foreign: dict[int, ForeignLetters] = field(default_factory=dict)
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    announced: dict[int, Announced | None] = field(default_factory=dict)
    traced: list[Record] = field(default_factory=list)

    def add_writes(self, writes: Iterable[Write]) -> None:
        """Fold writes into what is already collected for their documents: one write for each."""
        for write in writes:
            kind = self.marks if write.is_mark else self.documents
            documents = kind.setdefault(write.collection, {})
            earlier = documents.get(write.document_id)
            if earlier is None:
                documents[write.document_id] = write
                continue
            earlier.fields |= write.fields
            earlier.position = write.position
            earlier.is_whole |= write.is_whole
            earlier.entries += write.entries

    def add_sums(self, collection: str, lane: int, position: int, added: Iterable[Added]) -> None:
        """Collect what one event adds to the sums of one read model."""
        for each in added:
            documents = self.sums.setdefault(collection, {})
            documents.setdefault((lane, each.key), []).append((position, each.sums))
