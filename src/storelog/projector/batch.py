"""What the lanes of one process write together: each collection in one bulk, whatever the lane.

A write costs the server the same again for each lane that has its own; so they share it, and with
it one transaction. Nothing is in MongoDB before `flush`. Next: projector/writer.py
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pymongo.database import Database

from storelog.projector.change import Change
from storelog.projector.changes_writer import ChangesWriter
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.footing import Footing
from storelog.projector.read_models.document import Write
from storelog.projector.writer import BatchWriter

# A transaction is kept in the server's cache until it ends. The embedded server, which has 256 MiB
# of it, stood still for good in one of 10,000 events; 1,500 were written fastest.
MAX_EVENTS = 1_500
MAX_BYTES = 4 * 1024 * 1024


class Batch:
    """Collects the documents and the changes of a batch; `footing` is what they stand on."""

    def __init__(self, database: Database[dict[str, Any]], places: Sequence[Checkpoint]) -> None:
        self.footing = Footing(database, places)
        self._documents = BatchWriter(database, self.footing)
        self._changes = ChangesWriter(database, self.footing)

    def add(self, lane: int, change: Change, writes: Iterable[Write]) -> None:
        """Collect one event's writes; those of a lane come in log order."""
        self._documents.add(writes)
        self._changes.add(lane, change)

    def flush(self) -> None:
        """Write everything. Raises PyMongoError and Fenced; what was written is repeated safely."""
        self._documents.flush()
        self._changes.flush()
