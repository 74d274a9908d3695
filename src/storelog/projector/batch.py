"""One batch: everything that some lanes write together.

Plain data. The folds add to it, the lanes add their checkpoints, and `write/` puts it into MongoDB.
All lanes of a process share one batch, since a batch for each lane would cost the server as many
writes.
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
from storelog.read_models.totals import Added, Addition, TotalKey

# MongoDB keeps a transaction in its cache until it ends. The embedded server, which has 256 MiB of
# cache, stopped for good in a transaction of 10,000 events; about 1,000 are written fastest.
MAX_EVENTS = 1_000
MAX_BYTES = 4 * 1024 * 1024
# An event's position, when it was recorded (ms since 1970), and the lane's bounds after it.
MomentNote = tuple[int, int, Bounds]
# An event's position, its type, and the change that GET /live shows of it.
LiveChange = tuple[int, str, dict[str, Any]]


def _lists() -> defaultdict[Any, list[Any]]:
    return defaultdict(list)


@dataclass(frozen=True, slots=True)
class Announced:
    """Watermarks that a lane has not reached: the oldest one's time, the newest one's position."""

    oldest_recorded_at: str | None
    newest: int


@dataclass(slots=True)
class Batch:
    """Everything that is written together. A key that is a single number is the lane's.

    `is_late`: the events waited as dead letters, so the sums may include later events already.
    `documents`, `marks`: by collection and id; `sums`: by collection, then lane and key; `changes`:
    by block and lane. `bounds`: the new bounds of lanes whose bounds changed. `checkpoints`: each
    lane's place once the batch is written. `traced`: the records, if traces are kept.
    """

    is_late: bool = False
    events: int = 0
    documents: dict[str, dict[int, Write]] = field(default_factory=dict)
    marks: dict[str, dict[int, Write]] = field(default_factory=dict)
    sums: dict[str, dict[tuple[int, TotalKey], list[Addition]]] = field(default_factory=dict)
    changes: defaultdict[tuple[int, int], list[LiveChange]] = field(default_factory=_lists)
    facts: defaultdict[int, list[Fact]] = field(default_factory=_lists)
    notes: defaultdict[int, list[MomentNote]] = field(default_factory=_lists)
    bounds: dict[int, Bounds] = field(default_factory=dict)
    dead_letters: defaultdict[int, list[dict[str, Any]]] = field(default_factory=_lists)
    foreign: dict[int, ForeignLetters] = field(default_factory=dict)
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    announced: dict[int, Announced | None] = field(default_factory=dict)
    traced: list[Record] = field(default_factory=list)

    def add_writes(self, writes: Iterable[Write]) -> None:
        """Merge writes into those already collected, so that each document is written once."""
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
