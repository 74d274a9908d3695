"""Folds one lane's events into a batch: used for Kafka's records, dead letters and rebuilds alike.

An event that cannot be folded becomes a dead letter and holds up its own aggregate only. Nothing
reaches MongoDB before the batch is written.
Next: read_models/entities.py
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from pymongo.database import Database

from storelog.envelope import milliseconds
from storelog.errors import PoisonRecord
from storelog.projector import dead_letters
from storelog.projector.batch import Batch
from storelog.projector.checkpoints import Bounds
from storelog.projector.databases.shapes import FilledModels
from storelog.projector.fold.live_changes import block_of, live_change_of
from storelog.projector.fold.order_facts import fact_of
from storelog.projector.receive.record import Record, change_of, header_of
from storelog.read_models.change import Change

_log = structlog.get_logger()


class LaneFold:
    """The fold of one lane, and which of its aggregates are held up.

    `bounds`: the lane's bounds once everything folded is written. `parked`: the aggregates with a
    dead letter, each with its position.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        lane: int,
        bounds: Bounds,
        models: FilledModels,
        topic_prefix: str,
    ) -> None:
        self._lane = lane
        self._models = models
        self._prefix = topic_prefix
        self.bounds = bounds
        self.parked = dead_letters.parked_aggregates(database, lane)
        self.left_out = dead_letters.left_out(database, lane)

    def fold(self, batch: Batch, record: Record) -> None:
        """Add the writes of the lane's next record to the batch, or make it a dead letter."""
        self._fold(batch, record)
        self._note(batch, record.position, record.recorded_at)

    def fold_next(self, batch: Batch, change: Change) -> None:
        """Add the writes of the lane's next event, which a rebuild has read from the log."""
        self.fold_change(batch, change)
        self._note(batch, change.position, change.origin.recorded_at)

    def _note(self, batch: Batch, position: int, recorded_at: datetime) -> None:
        note = position, milliseconds(recorded_at), self.bounds
        batch.notes[self._lane].append(note)

    def _fold(self, batch: Batch, record: Record) -> None:
        if self.left_out.has(record.aggregate, record.position):
            return
        parked_at = self.parked.get(record.aggregate)
        # An aggregate's events are applied in order or not at all: this one waits for the parked.
        if parked_at is not None and record.position > parked_at:
            self._keep(batch, record, None)
            return
        try:
            self.fold_change(batch, self.change_of(record))
        except PoisonRecord as poison:
            self._park(batch, record, str(poison))
        except Exception as bug:  # noqa: BLE001  a bug in a fold holds up one aggregate, not the lane
            _log.exception("a fold failed", position=record.position)
            self._park(batch, record, repr(bug))

    def change_of(self, record: Record) -> Change:
        """Return the change that a record carries. Raises PoisonRecord."""
        return change_of(record, record.topic.removeprefix(self._prefix))

    def fold_change(self, batch: Batch, change: Change) -> None:
        """Add the writes of a change to the batch: all of them or, if a fold fails, none.

        Called directly for an event that comes late. The lane's next event goes through `fold`,
        which notes its time as well.
        """
        # Everything that can fail comes before the first line that adds to the batch.
        fact = fact_of(change)
        bounds = self.bounds.including(change)
        writes = [write for model in self._models.documents for write in model.fold(change)]
        added = [(model.collection, model.additions(change)) for model in self._models.totals]
        entry = live_change_of(change)
        batch.add_writes(writes)
        for collection, additions in added:
            batch.add_sums(collection, self._lane, change.position, additions)
        batch.changes[block_of(change.position), self._lane].append(entry)
        if fact is not None:
            batch.facts[self._lane].append(fact)
        if batch.is_late and not bounds.is_late:
            bounds = replace(bounds, is_late=True)
        self.bounds = batch.bounds[self._lane] = bounds

    def _park(self, batch: Batch, record: Record, cause: str) -> None:
        self.parked[record.aggregate] = record.position
        self._keep(batch, record, cause)
        _log.warning(
            "dead letter",
            position=record.position,
            aggregate=record.aggregate[:100],
            correlation_id=header_of(record, "correlation_id"),
            cause=cause[:300],
        )

    def _keep(self, batch: Batch, record: Record, cause: str | None) -> None:
        letter = dead_letters.of_record(record, cause, self._lane)
        batch.dead_letters[self._lane].append(letter)
