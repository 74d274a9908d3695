"""Notes when each position of a lane was recorded. The rows are written with the checkpoint, so
they cost almost nothing.

Next: projector/checkpoints.py
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.documents.moments import BLOCK_ROWS, COLLECTION, Moment, pack_moments, unpack_moments
from storelog.envelope import milliseconds
from storelog.projector.batch import MomentNote
from storelog.projector.checkpoints import Bounds
from storelog.projector.databases.bulk import existing
from storelog.projector.write.transaction import BatchTransaction


class MomentsWriter:
    """One lane's moments, beginning with those in its checkpoint."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        lane: int,
        bounds: Bounds,
        transaction: BatchTransaction,
    ) -> None:
        self._collection = database[COLLECTION]
        self._lane = lane
        self._transaction = transaction
        self._blocks = bounds.blocks
        self._rows = unpack_moments(bounds.rows)

    def _note(self, position: int, recorded_ms: int, bounds: Bounds) -> None:
        if self._rows and self._rows[-1].position >= position:
            return
        if self._rows and self._rows[-1].recorded_ms >= recorded_ms:
            recorded_ms = self._rows.pop().recorded_ms
        oldest, newest = bounds.oldest_order, bounds.newest_order
        row = Moment(
            position,
            recorded_ms,
            bounds.customers,
            bounds.products,
            None if oldest is None else milliseconds(oldest),
            None if newest is None else milliseconds(newest),
        )
        self._rows.append(row)

    def write(self, notes: Iterable[MomentNote], bounds: Bounds) -> Bounds:
        """Note events in log order and write the full blocks; return the bounds with the other
        rows, for the checkpoint.

        Events of one millisecond share a row. The newest row stays in the checkpoint, since it may
        still change.
        """
        for note in notes:
            self._note(*note)
        full = []
        while len(self._rows) > BLOCK_ROWS:
            rows = pack_moments(self._rows[:BLOCK_ROWS])
            full.append({"_id": f"{self._lane}/{self._blocks}", "rows": rows})
            self._rows, self._blocks = self._rows[BLOCK_ROWS:], self._blocks + 1
        if full:
            try:
                with self._transaction.step() as session:
                    self._collection.insert_many(full, ordered=False, session=session)
            except BulkWriteError as error:
                # A block that was written before a crash has the same events and the same rows.
                existing(error)
        return replace(bounds, blocks=self._blocks, rows=pack_moments(self._rows))
