"""One lane: puts its records from Kafka into log order, and tracks how far the lane is.

`safe` follows the watermarks. A watermark names a position of the log, and for each lane the
position of its last event at or below that. A lane that has reached its own holds its whole share.
Next: projector/receive/merge.py
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from confluent_kafka import Message
from pymongo.database import Database

from storelog.envelope import BEHIND
from storelog.errors import HistoryMismatch, PoisonRecord
from storelog.origin import Origin
from storelog.projector import measures
from storelog.projector.batch import Announced, Batch
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.receive.foreign import ForeignRecords
from storelog.projector.receive.log_identity import LogIdentity, Standing
from storelog.projector.receive.merge import LaneMerge
from storelog.projector.receive.proof import check_mark, check_record
from storelog.projector.receive.record import (
    Record,
    header_of,
    read_record,
    read_watermark,
)
from storelog.projector.receive.topics import same_topics
from storelog.projector.receive.waiting_marks import WaitingMarks


class Lane:
    """The records that this process has received of one lane; dropped after any MongoDB error.

    `take` runs ahead of MongoDB by the batch that is being written and the next one.
    `checkpoint`, `announced`: the lane's place and the watermarks that it has yet to reach, as of
    the last batch that was written.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        checkpoint: Checkpoint,
        origin: Origin | None,
        topic_ids: Mapping[str, str],
    ) -> None:
        self.number = checkpoint.lane
        self.checkpoint = checkpoint
        self.announced: Announced | None = None
        self._origin = origin
        self._ahead = _in_topics(checkpoint, topic_ids)
        # Offsets of a deleted topic mean nothing in the new one, so they are replaced at once.
        self._is_replaced = self._ahead.offsets != checkpoint.offsets
        self.merge = LaneMerge(self._ahead.position, self._ahead.safe)
        self._next_offsets = dict(self._ahead.offsets)
        self._marks = WaitingMarks(self.number)
        self.log = LogIdentity(self._ahead.position)
        self._foreign = ForeignRecords(database, self.number)
        # Foreign records before these offsets were handled already: a part of the topic is read
        # again after each start, and they must not be counted twice.
        self._foreign_from = dict(self._ahead.offsets)
        # Only the last: keeping the records of a whole batch would take a third of the memory.
        self._last: Record | None = None
        self._events = self._bytes = 0
        self.standing = Standing(origin)

    @property
    def offsets(self) -> Mapping[str, int]:
        """The offset from which to read each topic; one not named is read from its beginning."""
        return self._foreign_from

    def receive(self, message: Message, *, is_watermark: bool) -> None:
        """Take in one message of this lane's partitions."""
        self._next_offsets[message.topic() or ""] = (message.offset() or 0) + 1
        if is_watermark:
            self._receive_mark(message)
            return
        try:
            record = read_record(message)
            check_record(record, self._origin)
            if self.standing.has_left(header_of(record, "history"), record.position):
                return
        except PoisonRecord as poison:
            self._keep_foreign(message, str(poison))
            return
        self.log.check(record.position, record.hash, self._ahead)
        self.merge.add(record)

    def _receive_mark(self, message: Message) -> None:
        try:
            if message.key() == BEHIND.encode():
                place = message.topic() or "", message.offset() or 0
                self.standing.hear(message.value() or b"", *place)
                return
            mark = read_watermark(message.value() or b"")
            check_mark(mark, self._origin)
            if self.standing.has_left(mark.history, mark.position):
                return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._keep_foreign(message, f"not a watermark of the relay: {error}")
            return
        except PoisonRecord as poison:
            self._keep_foreign(message, str(poison))
            return
        if self.standing.has_left(self._ahead.history, self._ahead.position):
            raise HistoryMismatch(
                "the read model holds events of a history that the log has left: run `storelog"
                " rebuild --promote`"
            )
        # A relay sends a watermark only while its log has everything that Kafka has.
        self.standing.clear()
        offset = message.offset() or 0
        measures.saw(mark, is_new=self.log.is_new(offset))
        self.log.check(mark.position, mark.hash, self._ahead)
        self.log.check_mark(offset, mark.position, self._ahead)
        self._marks.add(mark, (message.topic() or "", offset), self._ahead)

    def is_waiting(self) -> bool:
        """Tell whether the lane waits for a record that Kafka must have.

        Such a record precedes one that waits here, or lies below an announced position.
        """
        return self.merge.has_waiting() or self._marks.sure_to_come() > self.merge.last

    def number_waiting(self, topic: str, *, is_watermark: bool) -> int:
        """Return how many messages of the topic wait here."""
        return len(self._marks) if is_watermark else self.merge.waiting(topic)

    def _keep_foreign(self, message: Message, cause: str) -> None:
        if (message.offset() or 0) >= self._foreign_from.get(message.topic() or "", 0):
            self._foreign.add(message, cause)

    def take(self, limit: int, max_bytes: int) -> list[Record]:
        """Return the next records in log order, as many as the open batch has room for.

        `limit`, `max_bytes`: the lane's whole share of a batch, including what was taken before.
        """
        records = self.merge.take(limit - self._events, max_bytes - self._bytes)
        self._bytes += sum(len(record.value or b"") for record in records)
        self._events += len(records)
        self._last = records[-1] if records else self._last
        return records

    def is_full(self, limit: int, max_bytes: int) -> bool:
        """Tell whether the lane's share of the batch is used up."""
        has_most = self._events >= limit or self._bytes >= max_bytes
        return has_most or self._foreign.number_to_keep >= limit

    def has_news(self) -> bool:
        """Tell whether the next checkpoint differs: by records, or by a watermark reached."""
        at = self._last.position if self._last else self._ahead.position
        has_records = self._events > 0 or len(self._foreign) > 0
        return has_records or self._marks.has_news(at) or self._is_replaced

    def close(self, batch: Batch) -> None:
        """Add the lane's next checkpoint to the batch. Raises HistoryMismatch."""
        new = self._ahead
        batch.foreign[self.number] = foreign = self._foreign.take()
        has_changed = self._events > 0 or foreign.number > 0
        if self._last is not None:
            new = replace(new, position=self._last.position, hash=self._last.hash)
        self._last = None
        self._events = self._bytes = 0
        new = self._marks.reach(new, self._ahead)
        if has_changed or self._is_replaced or new is not self._ahead:
            self._is_replaced = False
            self._ahead = replace(new, offsets=self._resume_offsets())
        batch.checkpoints[self.number] = self._ahead
        batch.announced[self.number] = self._marks.announced()

    def written(self, checkpoint: Checkpoint, announced: Announced | None) -> None:
        """Take note that a closed batch was written to MongoDB."""
        self.checkpoint, self.announced = checkpoint, announced

    def _resume_offsets(self) -> dict[str, int]:
        """Return where to continue after a crash, so that what is in memory alone comes again."""
        offsets = dict(self._next_offsets)
        for topic in offsets:
            waiting = self.merge.first_offset(topic)
            if waiting is not None:
                offsets[topic] = min(waiting, offsets[topic])
        if self._marks.first_place is not None:
            topic, first = self._marks.first_place
            offsets[topic] = first
        if self.standing.heard_at is not None:
            topic, first = self.standing.heard_at
            offsets[topic] = min(first, offsets[topic])
        return offsets


def _in_topics(place: Checkpoint, ids: Mapping[str, str]) -> Checkpoint:
    """Return the checkpoint without the offsets of topics that were created again."""
    offsets = same_topics(place.offsets, place.topic_ids, ids)
    return replace(place, offsets=offsets, topic_ids={**place.topic_ids, **ids})
