"""One lane: takes records in log order, folds them, writes, then moves the lane's checkpoint.

The checkpoint moves last, so a crash repeats writes that repeat nothing. `safe` follows the
watermarks: each says which position of this lane stands for which position of the log.
Next: projector/writer.py
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog
from confluent_kafka import Message
from pymongo.database import Database

from storelog.errors import HistoryMismatch, PoisonRecord
from storelog.projector import checkpoints, dead_letters, measures
from storelog.projector.database import READ_MODELS
from storelog.projector.merge import LaneMerge
from storelog.projector.read_models import totals
from storelog.projector.read_models.totals import Delta
from storelog.projector.record import Record, Watermark, change_of, read_record, read_watermark
from storelog.projector.totals_writer import TotalsWriter
from storelog.projector.writer import BatchWriter

MAX_BATCH = 5_000
_log = structlog.get_logger()


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
        self.checkpoint = checkpoints.load(database, number)
        self.merge = LaneMerge(self.checkpoint.position)
        self._writer = BatchWriter(database)
        self._totals = TotalsWriter(database)
        self._parked = dead_letters.parked_aggregates(database, number)
        self._next_offsets = dict(self.checkpoint.offsets)
        self._marks: deque[Watermark] = deque()
        self._letters: list[dict[str, Any]] = []
        self._bounds = self.checkpoint.bounds
        self.behind: Behind | None = None

    def receive(self, message: Message, *, is_watermark: bool) -> None:
        """Take in one message of this lane's partitions."""
        self._next_offsets[message.topic() or ""] = (message.offset() or 0) + 1
        if is_watermark:
            self._receive_mark(message)
            return
        try:
            self.merge.add(read_record(message))
        except PoisonRecord as poison:
            self._letters.append(dead_letters.of_foreign(message, str(poison)))

    def _receive_mark(self, message: Message) -> None:
        try:
            mark = read_watermark(message.value() or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._letters.append(dead_letters.of_foreign(message, str(error)))
            return
        if mark.position > self.checkpoint.safe and self.number < len(mark.lanes):
            self._marks.append(mark)

    def is_full(self, topic: str, limit: int) -> bool:
        """Tell whether more than `limit` messages of the topic wait here."""
        return max(self.merge.waiting(topic), len(self._marks) // 2) > limit

    def advance(self) -> bool:
        """Apply the next records, and say how far the lane is. Returns whether more wait.

        Raises PyMongoError and Fenced, after which the lane must be loaded again; HistoryMismatch.
        """
        records = self.merge.take(MAX_BATCH)
        deltas: list[Delta] = []
        for record in records:
            deltas += self._fold(record)
        if records:
            with measures.WRITE.timing():
                self._writer.flush()
                self._totals.write(deltas)
            measures.BATCH_EVENTS.observe(len(records))
            measures.EVENTS.add(len(records))
        self._keep_letters()
        self._save(records)
        return len(records) == MAX_BATCH

    def _fold(self, record: Record) -> list[Delta]:
        """Collect the record's writes and return its deltas; or make it a dead letter."""
        if record.key in self._parked:
            self._letters.append(dead_letters.of_record(record, None))
            return []
        try:
            change = change_of(record, record.topic.removeprefix(self._prefix))
            writes = [write for model in READ_MODELS for write in model.fold(change)]
            deltas = list(totals.fold(change, self.number))
        except PoisonRecord as poison:
            self._park(record, str(poison))
            return []
        except Exception as bug:  # noqa: BLE001  a bug in a fold holds up one aggregate, not the lane
            _log.exception("a fold failed", position=record.position)
            self._park(record, repr(bug))
            return []
        self._writer.add(writes)
        self._bounds = self._bounds.including(change.payload)
        return deltas

    def _park(self, record: Record, cause: str) -> None:
        self._parked.add(record.key)
        self._letters.append(dead_letters.of_record(record, cause))
        _log.warning(
            "dead letter", position=record.position, key=record.key[:100], cause=cause[:300]
        )

    def _keep_letters(self) -> None:
        if self._letters:
            dead_letters.keep(self._database, self._letters)
            self._letters = []
            held_up = dead_letters.count(self._database, self.number)
            new = replace(self.checkpoint, dead_letters=held_up)
            self.checkpoint = checkpoints.save(self._database, self.checkpoint, new)

    def _save(self, records: list[Record]) -> None:
        new = self.checkpoint
        if records:
            last = records[-1]
            new = replace(new, position=last.position, hash=last.hash, bounds=self._bounds)
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
                    lanes=len(mark.lanes),
                )
        if new is not self.checkpoint:
            new = replace(new, offsets=self._resume_offsets())
            self.checkpoint = checkpoints.save(self._database, self.checkpoint, new)
        marks = self._marks
        self.behind = Behind(marks[0].recordedAt, marks[-1].position) if marks else None

    def _resume_offsets(self) -> dict[str, int]:
        """Return where to read on after a crash: what waits in memory is to be read again."""
        offsets = dict(self._next_offsets)
        for topic in offsets:
            waiting = self.merge.first_offset(topic)
            if waiting is not None:
                offsets[topic] = min(waiting, offsets[topic])
        return offsets
