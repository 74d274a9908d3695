"""Fills a read model with events in log order, in the projector's batches.

Its checkpoints move with each batch, so an interrupted filling goes on where it was, and the
projector can go on where the filling ends. The same folds and writers as the projector's.
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
from storelog.projector import checkpoints, dead_letters
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.databases.connection import make_indexes
from storelog.projector.fold.folding import Folding, Share
from storelog.projector.receive.record import Record, make_record
from storelog.projector.write.batch import MAX_BYTES, MAX_EVENTS, Batch
from storelog.projector.write.transaction import take_over
from storelog.projector.write.writer_thread import Writing
from storelog.read_models.change import change_of_event
from storelog.relay.publisher import record_headers

Document = dict[str, Any]


class Fill:
    """One read model that is being filled. `position`: everything up to there is collected.

    What is collected is written while more is collected, until `finish`.
    """

    def __init__(self, database: Database[Document], lanes: int, topic_prefix: str) -> None:
        # Adding to an index costs the embedded server a fifth of building it afterwards.
        make_indexes(database)
        self._database = database
        self._prefix = topic_prefix
        places = take_over(database, range(lanes))
        batch = Batch(database, places)
        self._footing, self._places = batch.footing, batch.footing.places
        self._foldings = [Folding(database, place.lane, place.bounds, batch) for place in places]
        self._ends = places
        self._writing = Writing()
        self.position = min(place.safe for place in places)
        self._events = self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Tell whether what was collected is enough for one batch."""
        return self._events >= MAX_EVENTS or self._bytes >= MAX_BYTES

    @property
    def has_writes(self) -> bool:
        """Tell whether anything was collected since the last `write`."""
        return self._events > 0

    def add_event(self, event: Envelope) -> None:
        """Collect the log's next event."""
        aggregate = event.aggregate
        lane = lane_of_event(event.aggregate_type, aggregate, event.payload, len(self._places))
        if event.position > self._places[lane].position:
            self._fold_event(event, aggregate, lane)
        self._reached(lane, event.position, event.hash.hex(), len(event.payload))

    def _fold_event(self, event: Envelope, aggregate: str, lane: int) -> None:
        folding = self._foldings[lane]
        is_out = folding.left_out.has(aggregate, event.position)
        if aggregate not in folding.parked and not is_out:
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
        self._reached(lane, record.position, record.hash, len(record.value or b""))

    def _reached(self, lane: int, position: int, event_hash: str, size: int) -> None:
        if position > self._ends[lane].position:
            self._ends[lane] = replace(self._ends[lane], position=position, hash=event_hash)
        self.position = position
        self._events += 1
        self._bytes += size

    def write(self, recorded_at: str | None) -> None:
        """Begin to write what was collected, once what was before it is written.

        `recorded_at` is the time of the last event. Raises PyMongoError and Fenced of what was
        before it, after which the filling has to be begun again.
        """
        self._ends = [
            replace(
                end,
                safe=self.position,
                safe_recorded_at=recorded_at or end.safe_recorded_at,
                lanes=len(self._ends),
            )
            for end in self._ends
        ]
        shares = [folding.take() for folding in self._foldings]
        self._events = self._bytes = 0
        self._writing.begin(partial(self._write, shares, self._ends))

    def finish(self) -> None:
        """Wait until all is written. Raises PyMongoError and Fenced."""
        self._writing.is_done()

    def _write(self, shares: list[Share], ends: list[Checkpoint]) -> None:
        """Write shares of lanes, then move the checkpoints."""
        pairs = zip(shares, ends, strict=True)
        with self._footing.batch():
            self._footing.save([self._written(share, end) for share, end in pairs])

    def _written(self, share: Share, end: Checkpoint) -> Checkpoint:
        """Write what was collected of a lane; return the checkpoint that says so."""
        folding, letters = self._foldings[end.lane], self._places[end.lane].dead_letters
        if folding.write(share):
            letters = dead_letters.count(self._database, end.lane)
        return replace(end, dead_letters=letters, bounds=folding.written)

    def take_offsets(self, live: Database[Document]) -> None:
        """Read on in Kafka where the live read model would; its lanes are not beyond this one's."""
        there = checkpoints.load(live, range(len(self._places)))
        self._set([(place.offsets, place.topic_ids) for place in there])

    def set_offsets(self, offsets: Sequence[dict[str, int]]) -> None:
        """Say for each lane where in each topic it is to be read on."""
        self._set([(each, {}) for each in offsets])

    def _set(self, offsets: Sequence[tuple[dict[str, int], dict[str, str]]]) -> None:
        pairs = zip(self._places.values(), offsets, strict=True)
        self._footing.save(
            [replace(place, offsets=each, topic_ids=ids) for place, (each, ids) in pairs]
        )
        self._ends = list(self._places.values())
