"""The lanes that one process owns, written together: one batch, in one transaction if it can be.

The checkpoints move last, so a crash repeats writes that repeat nothing.
Next: projector/lane.py
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from pymongo.database import Database

from storelog import tracing
from storelog.projector import measures
from storelog.projector.batch import MAX_BYTES, MAX_EVENTS, Batch
from storelog.projector.footing import IDLE_SECONDS, take_over
from storelog.projector.lane import Lane


class Lanes:
    """Some lanes of one read model; loaded from MongoDB, dropped after any error there."""

    def __init__(
        self, database: Database[dict[str, Any]], numbers: Sequence[int], topic_prefix: str
    ) -> None:
        self._batch = Batch(database, take_over(database, numbers))
        self._footing = self._batch.footing
        self._lanes = {n: Lane(database, n, self._batch, topic_prefix) for n in numbers}

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __len__(self) -> int:
        return len(self._lanes)

    def get(self, number: int) -> Lane | None:
        """Return the lane, None when it is another process's."""
        return self._lanes.get(number)

    def advance(self, limit: int = MAX_EVENTS) -> bool:
        """Apply the next records, at most about `limit`, and say how far the lanes are.

        Returns whether more wait.

        Raises PyMongoError and Fenced, after which the lanes must be loaded again; HistoryMismatch.
        """
        if not self._lanes:
            return False
        self._footing.hold(IDLE_SECONDS)
        share, share_bytes = -(-limit // len(self)), MAX_BYTES // len(self)
        taken = [lane.collect(share, share_bytes) for lane in self]
        began_ns = time.time_ns()
        if any(lane.has_writes for lane in self):
            with measures.WRITE.timing(), self._footing.batch():
                self._footing.save([lane.write() for lane in self])
            events = sum(map(len, taken))
            measures.BATCH_EVENTS.observe(events)
            measures.EVENTS.add(events)
        else:
            self._footing.save([lane.write() for lane in self])
        if tracing.is_on():
            records = [record for some in taken for record in some]
            measures.trace_records(records, began_ns, time.time_ns())
        return any(lane.merge.has_next() for lane in self)

    def retry_asked(self) -> None:
        """Do with dead letters what was asked for. Raises PyMongoError and Fenced."""
        for lane in self:
            self._footing.save([lane.retry_asked()])
