"""Fills a read model with events in log order, in the projector's batches.

Its checkpoints move with each batch, so an interrupted filling continues where it was, and the
projector can continue where the filling ends. It uses the projector's folds and writers.
Next: upkeep/sources.py
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pymongo.database import Database

from storelog.envelope import Envelope
from storelog.errors import PoisonRecord
from storelog.event_codec import kafka_value, lane_of_event
from storelog.projector import checkpoints
from storelog.projector.batch import MAX_BYTES, MAX_EVENTS, Batch
from storelog.projector.databases.connection import make_indexes
from storelog.projector.databases.shapes import filled_models
from storelog.projector.fold.lane_fold import LaneFold
from storelog.projector.receive.record import Record, make_record
from storelog.projector.write.batch_writer import BatchWriter
from storelog.projector.write.transaction import take_over
from storelog.projector.write.writer_thread import WriterThread
from storelog.read_models.change import change_of_event
from storelog.relay.record_headers import record_headers

Document = dict[str, Any]


class Fill:
    """One read model that is being filled. `position`: everything up to there is collected.

    `history`: the log's, to which the events belong.

    Collected events are written while more are collected, until `finish`.
    """

    def __init__(
        self,
        database: Database[Document],
        lanes: int,
        topic_prefix: str,
        history: str | None = None,
    ) -> None:
        # Before the first document: adding to an index costs the embedded server a fifth of
        # building it afterwards.
        make_indexes(database)
        self._prefix = topic_prefix
        self._history = history
        places = take_over(database, range(lanes))
        models = filled_models(database)
        self._folds = [
            LaneFold(database, place.lane, place.bounds, models, topic_prefix) for place in places
        ]
        self._writer = BatchWriter(database, places, models)
        # Where each lane ends as collected; its stored checkpoint follows when that is written.
        self._ends = places
        self._thread = WriterThread()
        self.position = min(place.safe for place in places)
        self._batch, self._bytes = Batch(), 0

    @property
    def is_full(self) -> bool:
        """Tell whether what was collected is enough for one batch."""
        return self._batch.events >= MAX_EVENTS or self._bytes >= MAX_BYTES

    @property
    def has_writes(self) -> bool:
        """Tell whether anything was collected since the last `write`."""
        return self._batch.events > 0

    def add_event(self, event: Envelope) -> None:
        """Collect the log's next event."""
        aggregate = event.aggregate
        lane = lane_of_event(event.aggregate_type, aggregate, event.payload, len(self._ends))
        # A filling that was interrupted may have written some lanes further than others.
        if event.position > self._writer.checkpoints[lane].position:
            self._fold_event(event, aggregate, lane)
        self._reached(lane, event.position, event.hash.hex(), len(event.payload))

    def _fold_event(self, event: Envelope, aggregate: str, lane: int) -> None:
        fold = self._folds[lane]
        is_out = fold.left_out.has(aggregate, event.position)
        if aggregate not in fold.parked and not is_out:
            try:
                change = change_of_event(event)
            except PoisonRecord:
                pass  # folded as a record below, it becomes a dead letter
            else:
                fold.fold_next(self._batch, change)
                return
        headers = record_headers(event, aggregate, self._ends[lane].position)
        value = kafka_value(event.event_type, event.payload)
        topic = self._prefix + event.event_type
        record = make_record(topic, lane, -1, aggregate, value, list(headers))
        fold.fold(self._batch, record)

    def add_record(self, record: Record, lane: int) -> None:
        """Collect the next event as Kafka has it."""
        if record.position > self._writer.checkpoints[lane].position:
            self._folds[lane].fold(self._batch, record)
        self._reached(lane, record.position, record.hash, len(record.value or b""))

    def _reached(self, lane: int, position: int, event_hash: str, size: int) -> None:
        if position > self._ends[lane].position:
            self._ends[lane] = replace(self._ends[lane], position=position, hash=event_hash)
        self.position = position
        self._batch.events += 1
        self._bytes += size

    def write(self, recorded_at: str | None) -> None:
        """Begin to write what was collected, once the previous batch is written.

        `recorded_at` is the time of the last event. Raises the PyMongoError and Fenced of the
        previous batch, after which the filling must be begun again.
        """
        self._ends = [
            replace(
                end,
                safe=self.position,
                safe_recorded_at=recorded_at or end.safe_recorded_at,
                lanes=len(self._ends),
                history=self._history or end.history,
            )
            for end in self._ends
        ]
        batch, self._batch, self._bytes = self._batch, Batch(), 0
        batch.checkpoints = {end.lane: end for end in self._ends}
        self._thread.begin(partial(self._writer.write, batch))

    def finish(self) -> None:
        """Wait until all is written. Raises PyMongoError and Fenced."""
        self._thread.is_done()

    def take_offsets(self, live: Database[Document]) -> None:
        """Continue in Kafka where the live read model would: its lanes are not beyond this one."""
        there = checkpoints.load(live, range(len(self._ends)))
        self._set([(place.offsets, place.topic_ids) for place in there])

    def set_offsets(self, offsets: Sequence[dict[str, int]]) -> None:
        """Set, for each lane, the offset in each topic from which to read on."""
        self._set([(each, {}) for each in offsets])

    def _set(self, offsets: Sequence[tuple[dict[str, int], dict[str, str]]]) -> None:
        pairs = zip(self._writer.checkpoints.values(), offsets, strict=True)
        self._writer.save(
            [replace(place, offsets=each, topic_ids=ids) for place, (each, ids) in pairs]
        )
        self._ends = list(self._writer.checkpoints.values())
