"""What the lanes of one process write together: each collection in one bulk, whatever the lane.

A write costs the server the same again for each lane that has its own; so they share it, and with
it one transaction. Nothing is in MongoDB before `write`. Next: projector/write/document_writer.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database

from storelog.projector.checkpoints import Checkpoint
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.databases.shapes import stamp
from storelog.projector.fold.live_changes import block_of, entry_of
from storelog.projector.write.changes_writer import Changes, ChangesWriter
from storelog.projector.write.document_writer import BatchWriter, Writes
from storelog.projector.write.totals_writer import Additions, TotalsWriter
from storelog.projector.write.transaction import Footing
from storelog.read_models.change import Change
from storelog.read_models.listed import DOCUMENT_MODELS, TOTALS_MODELS

# A transaction is kept in the server's cache until it ends. The embedded server, which has 256 MiB
# of it, stood still for good in one of 10,000 events; some 1,000 are written about fastest.
MAX_EVENTS = 1_000
MAX_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class Documents:
    """What one batch writes, collected."""

    writes: Writes = field(default_factory=Writes)
    additions: Additions = field(default_factory=Additions)
    changes: Changes = field(default_factory=dict)


class Batch:
    """Collects the documents and the changes of a batch; `footing` is what they stand on.

    Only read models that the database was filled with are written. One batch may be written in
    another thread while the next is collected.
    """

    def __init__(self, database: Database[dict[str, Any]], places: Sequence[Checkpoint]) -> None:
        self.footing = Footing(database, places)
        shapes = stamp(database)
        self._folds = [each.fold for each in DOCUMENT_MODELS if each.collection in shapes]
        self._totals = {
            each: shapes[each.collection] for each in TOTALS_MODELS if each.collection in shapes
        }
        self._totals_writer = TotalsWriter(database, self.footing, self._totals, DEAD_LETTERS)
        self._writer = BatchWriter(database, self.footing)
        self._changes_writer = ChangesWriter(database, self.footing)
        self._collected = Documents()

    def add(self, lane: int, change: Change) -> None:
        """Collect what one event writes; those of a lane come in log order.

        All of it or, when a fold fails, nothing.
        """
        writes = [write for fold in self._folds for write in fold(change)]
        added = [(model.collection, model.additions(change)) for model in self._totals]
        entry = entry_of(change)
        self._collected.writes.add(writes)
        for collection, additions in added:
            self._collected.additions.add(collection, lane, change.position, additions)
        self._collected.changes.setdefault((block_of(change.position), lane), []).append(entry)

    def take(self) -> Documents:
        """Return what was collected, of all lanes; what follows is another batch's."""
        taken, self._collected = self._collected, Documents()
        return taken

    def write(self, documents: Documents, *, are_late: bool) -> None:
        """Write everything; `are_late`: the events waited as dead letters.

        Raises PyMongoError and Fenced; what was written is repeated safely.
        """
        self._writer.write(documents.writes)
        self._totals_writer.write(documents.additions, are_late=are_late)
        self._changes_writer.write(documents.changes)
