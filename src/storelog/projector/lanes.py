"""The lanes that one process owns, written together: one batch, in one transaction if it can be.

A batch is written in a thread of its own, mostly waiting for the server, while the next is
collected. The checkpoints move last, so a crash repeats writes that repeat nothing.
Next: projector/write/writer_thread.py
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pymongo.database import Database

from storelog.origin import Origin
from storelog.projector import measures
from storelog.projector.receive.lane import Lane, Part
from storelog.projector.write.batch import MAX_BYTES, MAX_EVENTS, Batch
from storelog.projector.write.transaction import IDLE_SECONDS, take_over
from storelog.projector.write.writer_thread import Writing


class Lanes:
    """Some lanes of one read model; loaded from MongoDB, dropped after any error there.

    `is_full`: of one lane as much is collected as its share of a batch may be. `has_written`: the
    last batch that was written had something in it.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        numbers: Sequence[int],
        topic_prefix: str,
        origin: Origin | None = None,
        topic_ids: Mapping[str, str] | None = None,
    ) -> None:
        self._batch = Batch(database, take_over(database, numbers))
        self._footing = self._batch.footing
        self._lanes = {
            n: Lane(database, n, self._batch, topic_prefix, origin, topic_ids) for n in numbers
        }
        self._writing = Writing()
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
        """Tell whether MongoDB has learnt of another history of the log since they were loaded."""
        known = None if self._origin is None else self._origin.histories
        return origin is not None and origin.histories != known

    def trouble(self) -> str | None:
        """Return why they may not be what Kafka has, None where nothing is known against them."""
        return next((each for each in (lane.standing.trouble for lane in self) if each), None)

    def applied(self) -> dict[int, Mapping[str, int]]:
        """Return up to which offset of each topic each lane is applied, as MongoDB has it."""
        return {lane.number: lane.checkpoint.offsets for lane in self}

    def collect(self, limit: int = MAX_EVENTS) -> None:
        """Fold the next records, at most about `limit` in one batch."""
        if self._lanes:
            share, share_bytes = -(-limit // len(self)), MAX_BYTES // len(self)
            are_full = [lane.collect(share, share_bytes) for lane in self]
            self.is_full = any(are_full)

    def has_next(self) -> bool:
        """Tell whether a record waits here whose turn it is."""
        return any(lane.merge.has_next() for lane in self)

    def has_news(self) -> bool:
        """Tell whether there is something to write."""
        return any(lane.has_news() for lane in self)

    def has_work(self) -> bool:
        """Tell whether something is being written, is to be written, or is waited for."""
        return self.is_writing or any(lane.has_news() or lane.is_waiting() for lane in self)

    def places(self) -> tuple[tuple[int, int], ...]:
        """Return how far each lane is, as MongoDB has it."""
        return tuple((lane.checkpoint.position, lane.checkpoint.safe) for lane in self)

    @property
    def is_writing(self) -> bool:
        """Whether a batch was begun that was not waited for."""
        return self._writing.is_begun

    def is_written(self, within: float | None = None) -> bool:
        """Wait so many seconds for the batch that is being written; return whether it is.

        Raises PyMongoError and Fenced, after which the lanes must be loaded again.
        """
        return self._writing.is_done(within)

    def begin(self) -> None:
        """Begin to write what was collected, and to say how far the lanes are.

        Raises PyMongoError, Fenced and HistoryMismatch, after which they must be loaded again.
        """
        self.is_written()
        parts = [lane.take() for lane in self]
        self.is_full = False
        if parts:
            self._writing.begin(partial(self._write, parts))

    def _write(self, parts: Sequence[Part]) -> None:
        self._footing.hold(IDLE_SECONDS)
        began_ns = time.time_ns()
        pairs = list(zip(self, parts, strict=True))
        has_shares = any(part.share is not None for part in parts)
        if has_shares:
            with measures.WRITE.timing(), self._footing.batch():
                self._footing.save([lane.write(part) for lane, part in pairs])
            events = sum(part.events for part in parts)
            measures.BATCH_EVENTS.observe(events)
            measures.EVENTS.add(events)
        else:
            self._footing.save([lane.write(part) for lane, part in pairs])
        traced = [record for part in parts for record in part.traced]
        if traced:
            measures.trace_records(traced, began_ns, time.time_ns())
        self.has_written = has_shares

    def retry_asked(self) -> None:
        """Do with dead letters what was asked for. Raises PyMongoError, Fenced, HistoryMismatch."""
        if not any(lane.checkpoint.dead_letters for lane in self):
            return
        # Nothing that was collected may be in between.
        self.begin()
        self.is_written()
        self._footing.hold(within=0)
        for lane in self:
            self._footing.save([lane.retry_asked()])

    def drop(self) -> BaseException | None:
        """End the writing; return why it failed, if it did. Nothing may be asked of them after."""
        return self._writing.end()
