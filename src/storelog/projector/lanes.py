"""The lanes that one process owns: each is received by itself, and all are written together.

This is the way of an event: `receive/` puts a lane's records into log order, and `fold/` adds their
effects to the open batch. Meanwhile `write/` puts the batch before it into MongoDB, in a thread
that mostly waits for the server. The checkpoints move last, and a repeated write changes nothing,
so a crash loses nothing and applies nothing twice.
Next: projector/receive/lane.py
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pymongo.database import Database

from storelog import tracing
from storelog.origin import Origin
from storelog.projector import measures
from storelog.projector.batch import MAX_BYTES, MAX_EVENTS, Batch
from storelog.projector.databases.shapes import filled_models
from storelog.projector.fold.lane_fold import LaneFold
from storelog.projector.receive.lane import Lane
from storelog.projector.retries import Retries
from storelog.projector.write.batch_writer import BatchWriter
from storelog.projector.write.transaction import IDLE_SECONDS, take_over
from storelog.projector.write.writer_thread import WriterThread


class OwnedLanes:
    """Some lanes of one read model; loaded from MongoDB, dropped after any error there.

    `is_full`: one lane has filled its share of the open batch. `has_written`: the last batch that
    was written had events.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        numbers: Sequence[int],
        topic_prefix: str,
        origin: Origin | None = None,
        topic_ids: Mapping[str, str] | None = None,
    ) -> None:
        checkpoints = take_over(database, numbers)
        models = filled_models(database)
        self._lanes = {
            each.lane: Lane(database, each, origin, topic_ids or {}) for each in checkpoints
        }
        self._folds = {
            each.lane: LaneFold(database, each.lane, each.bounds, models, topic_prefix)
            for each in checkpoints
        }
        self._writer = BatchWriter(database, checkpoints, models)
        self._thread = WriterThread()
        self._retries = Retries(database, self._folds, self._writer)
        self._batch = Batch()
        self._origin = origin
        self.is_full = self.has_written = False

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __len__(self) -> int:
        return len(self._lanes)

    def get(self, number: int) -> Lane | None:
        """Return the lane, None when it is another process's."""
        return self._lanes.get(number)

    def lack(self, origin: Origin | None) -> bool:
        """Tell whether MongoDB knows of a history of the log that was unknown at loading."""
        known = None if self._origin is None else self._origin.histories
        return origin is not None and origin.histories != known

    def trouble(self) -> str | None:
        """Return why the lanes may differ from the log, None where nothing suggests it."""
        return next((each for each in (lane.standing.trouble for lane in self) if each), None)

    def applied(self) -> dict[int, Mapping[str, int]]:
        """Return for each lane and topic the offset up to which MongoDB holds its records."""
        return {lane.number: lane.checkpoint.offsets for lane in self}

    def collect(self, limit: int = MAX_EVENTS) -> None:
        """Fold the next records into the open batch, which gets at most about `limit` events."""
        if not self._lanes:
            return
        # Equal shares: a lane with a backlog must not take the whole batch from the others.
        share, share_bytes = -(-limit // len(self)), MAX_BYTES // len(self)
        for lane in self:
            fold = self._folds[lane.number].fold
            records = lane.take(share, share_bytes)
            for record in records:
                fold(self._batch, record)
            self._batch.events += len(records)
            if tracing.is_on():
                self._batch.traced += records
        self.is_full = any(lane.is_full(share, share_bytes) for lane in self)

    def has_next(self) -> bool:
        """Tell whether the next record of a lane is in memory."""
        return any(lane.merge.has_next() for lane in self)

    def has_news(self) -> bool:
        """Tell whether there is something to write."""
        return any(lane.has_news() for lane in self)

    def has_work(self) -> bool:
        """Tell whether anything is being or must be written, or a lane waits for a record."""
        return self.is_writing or any(lane.has_news() or lane.is_waiting() for lane in self)

    def places(self) -> tuple[tuple[int, int], ...]:
        """Return each lane's `position` and `safe`, as MongoDB has them."""
        return tuple((lane.checkpoint.position, lane.checkpoint.safe) for lane in self)

    @property
    def is_writing(self) -> bool:
        """Whether a batch was begun whose end nobody has waited for."""
        return self._thread.is_busy

    def is_written(self, within: float | None = None) -> bool:
        """Wait `within` seconds for the batch that is being written; return whether it is written.

        Raises PyMongoError and Fenced, after which the lanes must be loaded again.
        """
        return self._thread.is_done(within)

    def begin(self) -> None:
        """Begin to write the open batch, with the checkpoints of the lanes.

        Raises PyMongoError, Fenced and HistoryMismatch, after which they must be loaded again.
        """
        # One batch at a time: the checkpoints of the next one follow from those of this one.
        self.is_written()
        batch, self._batch = self._batch, Batch()
        for lane in self:
            lane.close(batch)
        self.is_full = False
        if self._lanes:
            self._thread.begin(partial(self._write, batch))

    def _write(self, batch: Batch) -> None:
        self._writer.check(IDLE_SECONDS)
        began_ns = time.time_ns()
        if batch.events:
            with measures.WRITE.timing():
                self._writer.write(batch)
            measures.BATCH_EVENTS.observe(batch.events)
            measures.EVENTS.add(batch.events)
        else:
            self._writer.write(batch)
        for lane in self:
            lane.written(self._writer.checkpoints[lane.number], batch.announced[lane.number])
        if batch.traced:
            measures.trace_records(batch.traced, began_ns, time.time_ns())
        self.has_written = batch.events > 0

    def settle_letters(self) -> None:
        """Replay or discard dead letters as asked. Raises PyMongoError, Fenced, HistoryMismatch."""
        if not any(lane.checkpoint.dead_letters for lane in self):
            return
        # A replay is written at once, so everything folded before it must be written first.
        self.begin()
        self.is_written()
        self._writer.check(within=0)
        for lane in self:
            if lane.checkpoint.dead_letters and self._retries.carry_out(lane.number):
                lane.checkpoint = self._writer.checkpoints[lane.number]

    def drop(self) -> BaseException | None:
        """End the writing; return why it failed, if it did. The lanes must not be used after."""
        return self._thread.end()
