"""Folds one lane's events into the documents: the one way in, for Kafka, dead letters and rebuilds.

An event that cannot be folded becomes a dead letter and holds up its own aggregate only. Nothing is
in MongoDB before `write`; what was written is written again safely.
Next: projector/write/batch.py
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from pymongo.database import Database

from storelog.envelope import milliseconds
from storelog.errors import PoisonRecord
from storelog.ledgers import Fact
from storelog.projector import dead_letters
from storelog.projector.checkpoints import Bounds
from storelog.projector.fold.order_facts import fact_of
from storelog.projector.receive.record import Record, change_of, header_of
from storelog.projector.write.batch import Batch, Documents
from storelog.projector.write.ledger_writer import LedgerWriter
from storelog.projector.write.moments_writer import MomentsWriter, Note
from storelog.read_models.change import Change

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Share:
    """What was collected of one lane, and of the documents of all lanes that share its batch.

    `are_late`: the events waited as dead letters, so later ones may be in the figures already.
    """

    documents: Documents
    facts: list[Fact]
    notes: list[Note]
    letters: list[dict[str, Any]]
    bounds: Bounds
    are_late: bool


class Folding:
    """One lane's documents, and what of the lane is parked.

    `bounds` are of what was collected, `written` of what is in MongoDB.
    """

    def __init__(
        self, database: Database[dict[str, Any]], lane: int, bounds: Bounds, batch: Batch
    ) -> None:
        self._database = database
        self._lane = lane
        self._batch = batch
        self.bounds = self.written = bounds
        self.parked = dead_letters.parked_aggregates(database, lane)
        self.left_out = dead_letters.left_out(database, lane)
        self._ledger = LedgerWriter(database, lane, bounds.leaf, batch.footing)
        self._moments = MomentsWriter(database, lane, bounds, batch.footing)
        self._facts: list[Fact] = []
        self._notes: list[Note] = []
        self._letters: list[dict[str, Any]] = []

    def fold(self, record: Record, event_type: str) -> None:
        """Collect what the record writes; or make it a dead letter."""
        self._fold(record, event_type)
        self._note(record.position, record.recorded_at)

    def fold_next(self, change: Change) -> None:
        """Collect what the lane's next event writes, when it is a change already."""
        self.fold_change(change)
        self._note(change.position, change.origin.recorded_at)

    def _note(self, position: int, recorded_at: datetime) -> None:
        self._notes.append((position, milliseconds(recorded_at), self.bounds))

    def _fold(self, record: Record, event_type: str) -> None:
        if self.left_out.has(record.aggregate, record.position):
            return
        parked_at = self.parked.get(record.aggregate)
        if parked_at is not None and record.position > parked_at:
            self._letters.append(dead_letters.of_record(record, None, self._lane))
            return
        try:
            self.fold_change(change_of(record, event_type))
        except PoisonRecord as poison:
            self._park(record, str(poison))
        except Exception as bug:  # noqa: BLE001  a bug in a fold holds up one aggregate, not the lane
            _log.exception("a fold failed", position=record.position)
            self._park(record, repr(bug))

    def fold_change(self, change: Change) -> None:
        """Collect what the change writes. All of it or, when a fold fails, nothing.

        For an event that comes late; the lane's next one is noted with its time as well.
        """
        fact = fact_of(change)
        bounds = self.bounds.including(change)
        self._batch.add(self._lane, change)
        self.bounds = bounds
        if fact is not None:
            self._facts.append(fact)

    def _park(self, record: Record, cause: str) -> None:
        self.parked[record.aggregate] = record.position
        self._letters.append(dead_letters.of_record(record, cause, self._lane))
        _log.warning(
            "dead letter",
            position=record.position,
            aggregate=record.aggregate[:100],
            correlation_id=header_of(record, "correlation_id"),
            cause=cause[:300],
        )

    def take(self, *, are_late: bool = False) -> Share:
        """Return what was collected, which is to be written next; what follows is another batch's.

        The documents of all lanes that share the batch are in the first one's share.
        """
        self.bounds = replace(self.bounds, is_late=self.bounds.is_late or are_late)
        documents = self._batch.take()
        share = Share(
            documents, self._facts, self._notes, self._letters, self.bounds, are_late=are_late
        )
        self._facts, self._notes, self._letters = [], [], []
        return share

    def write(self, share: Share) -> bool:
        """Write what was collected; return whether there are new dead letters.

        It may be written in another thread while the next is collected. Raises Fenced and
        PyMongoError.
        """
        self._batch.write(share.documents, are_late=share.are_late)
        self._ledger.write(share.facts, are_late=share.are_late)
        bounds = replace(share.bounds, leaf=self._ledger.leaf)
        self.written = self._moments.write(share.notes, bounds)
        dead_letters.keep(self._database, share.letters)
        return bool(share.letters)
