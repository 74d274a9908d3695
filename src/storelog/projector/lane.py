"""One lane: takes records in log order, folds them, writes, then moves the lane's checkpoint.

The checkpoint moves last, so a crash repeats writes that repeat nothing. `safe` follows the
watermarks: each says which position of this lane stands for which position of the log.
Next: projector/folding.py
"""

import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from confluent_kafka import Message
from pymongo.database import Database

from storelog import tracing
from storelog.errors import HistoryMismatch, PoisonRecord
from storelog.projector import checkpoints, dead_letters, measures
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.folding import Folding
from storelog.projector.footing import IDLE_SECONDS, Footing, end_session
from storelog.projector.history import History
from storelog.projector.merge import LaneMerge
from storelog.projector.record import Record, Watermark, read_record, read_watermark
from storelog.projector.retries import Retries

MAX_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Behind:
    """What was announced and is not reached: the oldest one's time, the newest one's position."""

    oldest_recorded_at: str | None
    newest: int


class Lane:
    """What this process knows of one lane; loaded from MongoDB, dropped after any error there."""

    def __init__(self, database: Database[dict[str, Any]], number: int, topic_prefix: str) -> None:
        self._database = database
        self.number = number
        self._prefix = topic_prefix
        self.checkpoint = _take_over(database, number)
        self.merge = LaneMerge(self.checkpoint.position)
        self._footing = Footing(database, lambda: self.checkpoint)
        self._folding = Folding(database, number, self.checkpoint.bounds, self._footing)
        self._retries = Retries(database, number, self._folding, topic_prefix)
        self._next_offsets = dict(self.checkpoint.offsets)
        self._marks: deque[Watermark] = deque()
        self._history = History()
        self._read_at: str | None = None
        self._has_foreign = False
        self.behind: Behind | None = None

    def receive(self, message: Message, *, is_watermark: bool) -> None:
        """Take in one message of this lane's partitions."""
        self._next_offsets[message.topic() or ""] = (message.offset() or 0) + 1
        if is_watermark:
            self._receive_mark(message)
            return
        try:
            record = read_record(message)
        except PoisonRecord as poison:
            self._keep_foreign(message, str(poison))
            return
        self._history.check(record.position, record.hash, self.checkpoint)
        self.merge.add(record)

    def _receive_mark(self, message: Message) -> None:
        try:
            mark = read_watermark(message.value() or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._keep_foreign(message, str(error))
            return
        self._history.check(mark.position, mark.hash, self.checkpoint)
        self._history.check_mark(message, mark.position, self.checkpoint)
        if mark.position > self.checkpoint.safe and self.number < len(mark.lanes):
            self._marks.append(mark)
        elif mark.position == self.checkpoint.safe and mark.readAt is not None:
            self._read_at = mark.readAt

    def is_waiting(self) -> bool:
        """Tell whether the lane waits for a record that was announced, or that others follow."""
        announced = self._marks[-1].lanes[self.number] if self._marks else 0
        return self.merge.has_waiting() or announced > self.merge.last

    def is_full(self, topic: str, limit: int) -> bool:
        """Tell whether more than `limit` messages of the topic wait here."""
        return max(self.merge.waiting(topic), len(self._marks) // 2) > limit

    def _keep_foreign(self, message: Message, cause: str) -> None:
        self._folding.keep_foreign(message, cause)
        self._has_foreign = True

    def advance(self, limit: int = MAX_BATCH) -> bool:
        """Apply the next records, at most `limit`, and say how far the lane is.

        Returns whether more wait.

        Raises PyMongoError and Fenced, after which the lane must be loaded again; HistoryMismatch.
        """
        self._footing.hold(IDLE_SECONDS)
        records = self.merge.take(limit)
        for record in records:
            self._folding.fold(record, record.topic.removeprefix(self._prefix))
        began_ns = time.time_ns()
        if records or self._has_foreign:
            with measures.WRITE.timing(), self._footing.batch():
                self._write(records)
        else:
            self._save(records)
        written_ns = time.time_ns()
        if tracing.is_on():
            measures.trace_records(records, began_ns, written_ns)
        return len(records) == limit

    def _write(self, records: list[Record]) -> None:
        self._has_foreign = False
        if self._folding.write():
            self._count_letters()
        self._save(records)
        measures.BATCH_EVENTS.observe(len(records))
        measures.EVENTS.add(len(records))

    def retry_asked(self) -> None:
        """Do with dead letters what was asked for. Raises PyMongoError and Fenced."""
        if self.checkpoint.dead_letters and self._retries.do_asked():
            self._count_letters()

    def _count_letters(self) -> None:
        held_up = dead_letters.count(self._database, self.number)
        new = replace(self.checkpoint, dead_letters=held_up, bounds=self._folding.bounds)
        self.checkpoint = self._checkpoint_saved(new)

    def _save(self, records: list[Record]) -> None:
        new = self.checkpoint
        if records:
            last = records[-1]
            new = replace(new, position=last.position, hash=last.hash, bounds=self._folding.bounds)
        while self._marks and self._marks[0].lanes[self.number] <= new.position:
            mark = self._marks.popleft()
            if mark.position == new.position and mark.hash != new.hash:
                raise HistoryMismatch(
                    f"the relay's log has another event at position {mark.position} than was"
                    " projected here: PostgreSQL was restored or replaced; use another topic prefix"
                    " and MongoDB database for the other log"
                )
            if mark.position > new.safe:
                new = replace(
                    new,
                    safe=mark.position,
                    safe_recorded_at=mark.recordedAt,
                    read_at=mark.readAt,
                    lanes=len(mark.lanes),
                )
        if self._read_at is not None and new.safe == self.checkpoint.safe:
            new = replace(new, read_at=self._read_at)
        self._read_at = None
        if new is not self.checkpoint:
            new = replace(new, offsets=self._resume_offsets())
            self.checkpoint = self._checkpoint_saved(new)
        marks = self._marks
        self.behind = Behind(marks[0].recordedAt, marks[-1].position) if marks else None

    def _checkpoint_saved(self, new: Checkpoint) -> Checkpoint:
        footing = self._footing
        new = replace(new, session=footing.session_id)
        return checkpoints.save(self._database, self.checkpoint, new, footing.session)

    def _resume_offsets(self) -> dict[str, int]:
        """Return where to read on after a crash: what waits in memory is to be read again."""
        offsets = dict(self._next_offsets)
        for topic in offsets:
            waiting = self.merge.first_offset(topic)
            if waiting is not None:
                offsets[topic] = min(waiting, offsets[topic])
        return offsets


def _take_over(database: Database[dict[str, Any]], number: int) -> Checkpoint:
    """Return the checkpoint once no other's transaction can move it. Raises PyMongoError."""
    known = checkpoints.load(database, number)
    if known.session is None:
        return known
    end_session(database, known.session)
    return checkpoints.load(database, number)
