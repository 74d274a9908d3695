"""Fills a read model with events in log order, in large batches: each document is written seldom.

Its checkpoints move with each batch, so an interrupted filling goes on where it was, and the
projector can go on where the filling ends. The same folds and writers as the projector's.
Next: upkeep/sources.py
"""

from dataclasses import replace
from typing import Any

from pymongo.database import Database

from storelog.envelope import Envelope
from storelog.errors import PoisonRecord
from storelog.event_codec import kafka_value, lane_of_event
from storelog.projector import checkpoints, dead_letters
from storelog.projector.change import change_of_event
from storelog.projector.database import make_indexes
from storelog.projector.folding import Folding
from storelog.projector.footing import Footing
from storelog.projector.record import Record, make_record
from storelog.relay.publisher import record_headers

BATCH_EVENTS = 20_000
Document = dict[str, Any]


class Fill:
    """One read model that is being filled. `position`: everything up to there is collected."""

    def __init__(self, database: Database[Document], lanes: int, topic_prefix: str) -> None:
        # Adding to an index costs the embedded server a fifth of building it afterwards.
        make_indexes(database)
        self._database = database
        self._prefix = topic_prefix
        self._places = [checkpoints.load(database, number) for number in range(lanes)]
        self._foldings = [self._folding(number) for number in range(lanes)]
        self._ends = list(self._places)
        self.position = min(place.safe for place in self._places)
        self.pending = 0

    def _folding(self, lane: int) -> Folding:
        footing = Footing(self._database, lambda: self._places[lane])
        return Folding(self._database, lane, self._places[lane].bounds, footing)

    def add_event(self, event: Envelope) -> None:
        """Collect the log's next event."""
        aggregate = event.aggregate
        lane = lane_of_event(event.aggregate_type, aggregate, event.payload, len(self._places))
        if event.position > self._places[lane].position:
            self._fold_event(event, aggregate, lane)
        self._reached(lane, event.position, event.hash.hex())

    def _fold_event(self, event: Envelope, aggregate: str, lane: int) -> None:
        folding = self._foldings[lane]
        if aggregate not in folding.parked and event.position not in folding.discarded:
            try:
                change = change_of_event(event)
            except PoisonRecord:
                pass  # The same again, as a record, is a dead letter.
            else:
                folding.fold_next(change)
                return
        headers = record_headers(event, aggregate, self._ends[lane].position)
        value = kafka_value(event.event_type, event.payload)
        topic = self._prefix + event.event_type
        record = make_record(topic, lane, -1, aggregate, value, list(headers))
        folding.fold(record, event.event_type)

    def add_record(self, record: Record, lane: int) -> None:
        """Collect the next event as Kafka has it."""
        if record.position > self._places[lane].position:
            self._foldings[lane].fold(record, record.topic.removeprefix(self._prefix))
        self._reached(lane, record.position, record.hash)

    def _reached(self, lane: int, position: int, event_hash: str) -> None:
        if position > self._ends[lane].position:
            self._ends[lane] = replace(self._ends[lane], position=position, hash=event_hash)
        self.position = position
        self.pending += 1

    def write(self, recorded_at: str | None) -> None:
        """Write what was collected, then move the checkpoints. Raises PyMongoError and Fenced.

        `recorded_at` is the time of the last event.
        """
        for lane, folding in enumerate(self._foldings):
            has_letters = folding.write()
            place = self._places[lane]
            new = replace(
                self._ends[lane],
                safe=self.position,
                safe_recorded_at=recorded_at or place.safe_recorded_at,
                lanes=len(self._places),
                bounds=folding.bounds,
            )
            if has_letters:
                new = replace(new, dead_letters=dead_letters.count(self._database, lane))
            self._save(lane, new)
        self.pending = 0

    def take_offsets(self, live: Database[Document]) -> None:
        """Read on in Kafka where the live read model would; its lanes are not beyond this one's."""
        for lane in range(len(self._places)):
            self.set_offsets(lane, checkpoints.load(live, lane).offsets)

    def set_offsets(self, lane: int, offsets: dict[str, int]) -> None:
        """Say where in each topic the lane is to be read on."""
        self._save(lane, replace(self._places[lane], offsets=offsets))

    def _save(self, lane: int, new: checkpoints.Checkpoint) -> None:
        place = checkpoints.save(self._database, self._places[lane], new)
        self._places[lane] = self._ends[lane] = place
