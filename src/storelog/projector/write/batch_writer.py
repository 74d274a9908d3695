"""Writes one batch after the other: documents, sums and histories first, the checkpoints last.

After a crash, writes are therefore repeated, and each is guarded so that a repeat changes nothing.
Where the server has transactions, each batch is one.
Next: projector/write/document_writer.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pymongo.database import Database

from storelog.projector.batch import Batch
from storelog.projector.checkpoints import Bounds, Checkpoint
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.databases.shapes import FilledModels
from storelog.projector.write.changes_writer import ChangesWriter
from storelog.projector.write.dead_letter_writer import DeadLetterWriter
from storelog.projector.write.document_writer import DocumentWriter
from storelog.projector.write.ledger_writer import LedgerWriter
from storelog.projector.write.moments_writer import MomentsWriter
from storelog.projector.write.totals_writer import TotalsWriter
from storelog.projector.write.transaction import BatchTransaction


class BatchWriter:
    """The one writer of some lanes; its methods raise PyMongoError and Fenced.

    After an error a new one must be made from MongoDB's checkpoints. `bounds`: each lane's bounds
    for the documents in MongoDB; the checkpoint with them may not be written yet.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        checkpoints: Sequence[Checkpoint],
        models: FilledModels,
    ) -> None:
        self._transaction = transaction = BatchTransaction(database, checkpoints)
        self.bounds: dict[int, Bounds] = {each.lane: each.bounds for each in checkpoints}
        self._documents = DocumentWriter(database, transaction)
        self._totals = TotalsWriter(database, transaction, models.totals, DEAD_LETTERS)
        self._changes = ChangesWriter(database, transaction)
        self._ledgers = {
            lane: LedgerWriter(database, lane, bounds.leaf, transaction)
            for lane, bounds in self.bounds.items()
        }
        self._moments = {
            lane: MomentsWriter(database, lane, bounds, transaction)
            for lane, bounds in self.bounds.items()
        }
        self._dead_letters = DeadLetterWriter(database)

    @property
    def checkpoints(self) -> Mapping[int, Checkpoint]:
        """Where each lane is, as MongoDB has it."""
        return self._transaction.checkpoints

    def check(self, within: float) -> None:
        """Compare MongoDB's checkpoints with these, unless that was `within` seconds ago."""
        self._transaction.check(within)

    def write(self, batch: Batch) -> None:
        """Write the batch and move the checkpoints."""
        # Checkpoints alone need no transaction: they are moved by one bulk write.
        if not batch.events:
            self._write(batch)
            return
        with self._transaction.batch():
            self._write(batch)

    def _write(self, batch: Batch) -> None:
        self.write_events(batch)
        held_up = self._dead_letters.write(batch.dead_letters, batch.foreign)
        self.save(
            [
                replace(
                    place,
                    dead_letters=held_up.get(lane, self.checkpoints[lane].dead_letters),
                    bounds=self.bounds[lane],
                )
                for lane, place in batch.checkpoints.items()
            ]
        )

    def write_events(self, batch: Batch) -> None:
        """Write the effects of the events; safe to repeat."""
        self._documents.write(batch.documents, batch.marks)
        self._totals.write(batch.sums, are_late=batch.is_late)
        self._changes.write(batch.changes)
        for lane, ledger in self._ledgers.items():
            if lane not in batch.notes and lane not in batch.bounds:
                continue
            ledger.write(batch.facts.get(lane, ()), are_late=batch.is_late)
            bounds = replace(batch.bounds.get(lane, self.bounds[lane]), leaf=ledger.leaf)
            self.bounds[lane] = self._moments[lane].write(batch.notes.get(lane, ()), bounds)

    def save(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Move lanes to these checkpoints."""
        self._transaction.save(checkpoints)
