"""One lane: takes records in log order, folds them, and says how far it is once they are written.

`safe` follows the watermarks: each says which position of this lane stands for which position of
the log.
Next: projector/fold/folding.py
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from confluent_kafka import Message
from pymongo.database import Database

from storelog import tracing
from storelog.envelope import BEHIND
from storelog.errors import HistoryMismatch, PoisonRecord
from storelog.origin import Origin
from storelog.projector import dead_letters, measures
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.fold.folding import Folding, Share
from storelog.projector.receive.foreign import Foreigners, ForeignRecords
from storelog.projector.receive.log_identity import WHAT_TO_DO, History, Standing
from storelog.projector.receive.merge import LaneMerge
from storelog.projector.receive.proof import check_mark, check_record
from storelog.projector.receive.record import (
    Record,
    Watermark,
    header_of,
    read_record,
    read_watermark,
)
from storelog.projector.receive.topics import same_topics
from storelog.projector.retries import Retries
from storelog.projector.write.batch import Batch


@dataclass(frozen=True, slots=True)
class Behind:
    """What was announced and is not reached: the oldest one's time, the newest one's position."""

    oldest_recorded_at: str | None
    newest: int


@dataclass(frozen=True, slots=True)
class Part:
    """One lane's part of a batch: what was collected, and where the lane is once it is written.

    `events`: how many. `traced`: their records, where traces are kept.
    """

    events: int
    traced: list[Record]
    share: Share | None
    foreign: Foreigners
    place: Checkpoint
    behind: Behind | None


class Lane:
    """What this process knows of one lane; loaded from MongoDB, dropped after any error there.

    `collect` goes ahead of what is in MongoDB: by the batch that is being written, and the next.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        number: int,
        batch: Batch,
        topic_prefix: str,
        origin: Origin | None,
        topic_ids: Mapping[str, str] | None = None,
    ) -> None:
        self._database = database
        self.number = number
        self._prefix = topic_prefix
        self._origin = origin
        self._places = batch.footing.places
        self._ahead = _in_topics(self.checkpoint, topic_ids or {})
        # A place in a topic that is no more is not to be found again.
        self._is_replaced = self._ahead.offsets != self.checkpoint.offsets
        self.merge = LaneMerge(self._ahead.position, self._ahead.safe)
        self._folding = Folding(database, number, self._ahead.bounds, batch)
        self._retries = Retries(database, number, self._folding, topic_prefix)
        self._next_offsets = dict(self._ahead.offsets)
        self._marks: deque[Watermark] = deque()
        self._mark_places: deque[tuple[str, int]] = deque()
        self.history = History(self._ahead.position)
        self._read_at: str | None = None
        self._foreign = ForeignRecords(database, number)
        # Up to here what is foreign was kept or discarded before: some is read again.
        self._foreign_from = dict(self._ahead.offsets)
        # The records of a whole batch would be a third of the memory.
        self._last: Record | None = None
        self._events = 0
        self._traced: list[Record] = []
        self._bytes = 0
        self.behind: Behind | None = None
        self.standing = Standing(origin)

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the lane is, as MongoDB has it."""
        return self._places[self.number]

    @property
    def offsets(self) -> Mapping[str, int]:
        """Where in each topic to read on; one that is not named is read from its beginning."""
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
        self.history.check(record.position, record.hash, self._ahead)
        self.merge.add(record)

    def _receive_mark(self, message: Message) -> None:
        try:
            if message.key() == BEHIND.encode():
                self.standing.hear(message.value() or b"")
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
        # A relay sends one only where the log has all that Kafka has.
        self.standing.trouble = None
        offset = message.offset() or 0
        measures.saw(mark, is_new=self.history.is_new(offset))
        self.history.check(mark.position, mark.hash, self._ahead)
        self.history.check_mark(offset, mark.position, self._ahead)
        # Lanes only grow: one that names fewer is of a relay before.
        has_lane = len(mark.lanes) >= max(self.number + 1, self._ahead.lanes)
        if mark.position > self._ahead.safe and has_lane:
            self._marks.append(mark)
            self._mark_places.append((message.topic() or "", offset))
        elif mark.position == self._ahead.safe and mark.readAt is not None:
            self._read_at = mark.readAt

    def is_waiting(self) -> bool:
        """Tell whether the lane waits for a record that others follow, or that Kafka has had.

        A relay goes on, or says that it found nothing more, once all is acknowledged: so that is
        sure of all watermarks but the newest.
        """
        newest = len(self._marks) - 1
        if newest >= 0 and self._marks[newest].readAt is None:
            newest -= 1
        announced = self._marks[newest].lanes[self.number] if newest >= 0 else 0
        return self.merge.has_waiting() or announced > self.merge.last

    def number_waiting(self, topic: str, *, is_watermark: bool) -> int:
        """Return how many messages of the topic wait here."""
        return len(self._marks) if is_watermark else self.merge.waiting(topic)

    def _keep_foreign(self, message: Message, cause: str) -> None:
        if (message.offset() or 0) >= self._foreign_from.get(message.topic() or "", 0):
            self._foreign.add(message, cause)

    def collect(self, limit: int, max_bytes: int) -> bool:
        """Fold the next records; return whether the batch has as many, or as large ones, as it may.

        Nothing of it is in MongoDB before `write`.
        """
        room = limit - self._events
        records = self.merge.take(room, max_bytes - self._bytes)
        for record in records:
            self._folding.fold(record, record.topic.removeprefix(self._prefix))
            self._bytes += len(record.value or b"")
        self._events += len(records)
        self._last = records[-1] if records else self._last
        if tracing.is_on():
            self._traced += records
        has_most = len(records) >= room or self._bytes >= max_bytes
        return has_most or self._foreign.number_to_keep >= limit

    def has_news(self) -> bool:
        """Tell whether something was collected since the last `take`, or a watermark reached."""
        at = self._last.position if self._last else self._ahead.position
        is_reached = bool(self._marks) and self._marks[0].lanes[self.number] <= at
        return self._has_writes or is_reached or self._read_at is not None or self._is_replaced

    @property
    def _has_writes(self) -> bool:
        return self._events > 0 or len(self._foreign) > 0

    def take(self) -> Part:
        """Return what was collected, which is to be written next. Raises HistoryMismatch."""
        last, share, new = self._last, None, self._ahead
        foreign = self._foreign.take()
        if self._events:
            share = self._folding.take()
        if last is not None:
            new = replace(new, position=last.position, hash=last.hash)
        events, traced = self._events, self._traced
        self._last, self._traced = None, []
        self._events = self._bytes = 0
        new = self._marked(new)
        has_changed = share is not None or foreign.number or new is not self._ahead
        if has_changed or self._is_replaced:
            self._is_replaced = False
            self._ahead = replace(new, offsets=self._resume_offsets())
        marks = self._marks
        behind = Behind(marks[0].recordedAt, marks[-1].position) if marks else None
        return Part(events, traced, share, foreign, self._ahead, behind)

    def write(self, part: Part) -> Checkpoint:
        """Write what was taken, and return the checkpoint that says so, not yet saved.

        Raises PyMongoError and Fenced, after which the lane must be loaded again.
        """
        letters = self.checkpoint.dead_letters
        self._foreign.write(part.foreign)
        if part.share is not None and self._folding.write(part.share):
            letters = dead_letters.count(self._database, self.number)
        self.behind = part.behind
        return replace(part.place, dead_letters=letters, bounds=self._folding.written)

    def retry_asked(self) -> Checkpoint:
        """Do with dead letters what was asked for; return the checkpoint to be saved after it.

        Raises PyMongoError and Fenced.
        """
        if not self.checkpoint.dead_letters or not self._retries.do_asked():
            return self.checkpoint
        held_up = dead_letters.count(self._database, self.number)
        return replace(self.checkpoint, dead_letters=held_up, bounds=self._folding.written)

    def _marked(self, new: Checkpoint) -> Checkpoint:
        """Return the checkpoint with the watermarks that it has reached."""
        while self._marks and self._marks[0].lanes[self.number] <= new.position:
            mark = self._marks.popleft()
            self._mark_places.popleft()
            if mark.position == new.position and mark.hash != new.hash:
                raise HistoryMismatch(
                    f"the relay's log has another event at position {mark.position} than was"
                    f" projected here: {WHAT_TO_DO}"
                )
            if mark.position > new.safe:
                new = replace(
                    new,
                    safe=mark.position,
                    safe_recorded_at=mark.recordedAt,
                    read_at=mark.readAt,
                    lanes=len(mark.lanes),
                    history=mark.history or new.history,
                )
        if self._read_at is not None and new.safe == self._ahead.safe:
            new = replace(new, read_at=self._read_at)
        self._read_at = None
        return new

    def _resume_offsets(self) -> dict[str, int]:
        """Return where to read on after a crash: what waits in memory is to be read again."""
        offsets = dict(self._next_offsets)
        for topic in offsets:
            waiting = self.merge.first_offset(topic)
            if waiting is not None:
                offsets[topic] = min(waiting, offsets[topic])
        if self._mark_places:
            topic, first = self._mark_places[0]
            offsets[topic] = first
        return offsets


def _in_topics(place: Checkpoint, ids: Mapping[str, str]) -> Checkpoint:
    """Return the place in the topics as they are now."""
    offsets = same_topics(place.offsets, place.topic_ids, ids)
    return replace(place, offsets=offsets, topic_ids={**place.topic_ids, **ids})
