"""The projector: Kafka to MongoDB, each lane in log order, each event applied once.

One consumer of all ten topics; the range assignor gives it the same partition of each, so it owns
whole lanes. It reads on from where MongoDB's checkpoints say. Errors of MongoDB are retried for
ever, with back-off, after reading the checkpoints again; nothing is ever logged and dropped.
Next: projector/lanes.py
"""

import asyncio
import gc
import threading
import time
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.errors import ReadModelUnknown, Unavailable
from storelog.kafka import event_topics, kafka_failure, watermark_topic
from storelog.origin import read_origin
from storelog.projector import measures
from storelog.projector.checkpoints import Checkpoint, Fenced, number_of_lanes
from storelog.projector.databases.connection import connect, make_indexes, pointer_of, sibling
from storelog.projector.databases.failures import explain
from storelog.projector.databases.promotion import let_go
from storelog.projector.lanes import OwnedLanes
from storelog.projector.pace import Pace
from storelog.projector.receive.alarm import ADVICE, Alarm
from storelog.projector.receive.consumer import (
    Commits,
    end_of,
    is_record,
    new_consumer,
    places_of,
    poll,
)
from storelog.projector.receive.standstill import Standstill
from storelog.projector.receive.throttle import Throttle
from storelog.projector.receive.topics import Topics
from storelog.projector.write.transaction import Repeated
from storelog.read_side import Pointer

POLL_SECONDS = 0.5
# What the relay sent together comes within that, a watermark too: it is written in one batch.
GATHER_SECONDS = 0.004
# While a batch is written, new records are collected so often, unless the next is full.
GLANCE_SECONDS = 0.003
# A wire that went deaf is given up after so long. What takes longer by itself is tried in smaller
# batches, so that a slow server is not asked for the same again and again.
ANSWER_SECONDS = 15.0
LOOK_SECONDS = 1.0
_log = structlog.get_logger()


class _Stale(Exception):
    """What the consumer knows of its topics may be out of date: a new one has to read."""


class Projector:
    """Runs in a thread of its own until it is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        measures.CLOCK.compare()
        self._home = connect(settings, ANSWER_SECONDS)
        self._pointer: Pointer | None = None
        self._watermarks = watermark_topic(settings)
        self._topics = [*event_topics(settings), self._watermarks]
        self._lanes: OwnedLanes | None = None
        self._kafka = Topics(settings, self._topics)
        self._throttle = Throttle(self._topics, self._watermarks)
        self._stop = threading.Event()
        self._trouble: str | None = "The projector is starting."
        self._pace = Pace()
        self._owned: list[TopicPartition] = []
        self._alarm = Alarm()
        self._read_again: set[int] = set()
        self._look_at = 0.0
        self._commits = Commits()
        self._standstill = Standstill(self._home, self._watermarks)

    def facts(self) -> dict[str, Any]:
        """Return what health shows. Raises Unavailable where the read model does not move."""
        trouble = (
            self._kafka.trouble
            or self._trouble
            or self._standstill.trouble()
            or (self._lanes and self._lanes.trouble())
            or self._pace.stalled()
        )
        if isinstance(trouble, str):
            raise Unavailable(trouble)
        lanes = {str(lane.number): lane.checkpoint.position for lane in self._lanes or ()}
        return {"lanes": lanes, **measures.CLOCK.facts()}

    async def measure(self) -> None:
        """Show how far the lanes are, for a scrape."""
        measures.measure(self._lanes or (), is_ready=self._trouble is None)

    async def run(self) -> None:
        """Project until cancelled. Raises HistoryMismatch."""
        work = asyncio.create_task(asyncio.to_thread(self._work))
        try:
            await asyncio.shield(work)
        finally:
            self._stop.set()
            await asyncio.gather(work, return_exceptions=True)

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                self._consume()
        finally:
            self._home.client.close()

    def _consume(self) -> None:
        """Project with one consumer, until it is not to be trusted any more, or all is stopped."""
        consumer = new_consumer(self._settings)
        consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke)
        try:
            while not self._stop.is_set():
                try:
                    self._step(consumer)
                    continue
                except (PyMongoError, Fenced, KafkaException, ReadModelUnknown) as error:
                    self._recover(consumer, error)
                # Dropped lanes hang on the error's frames until the next ones are as large.
                gc.collect()
        except _Stale:
            return
        finally:
            consumer.close()
            self._on_revoke(consumer, [])

    def _step(self, consumer: Consumer) -> None:
        self._look(consumer)
        if self._owned and self._lanes is None and not self._standstill.is_one:
            raise Fenced("the lanes' checkpoints are not read yet")
        is_writing = self._lanes is not None and self._lanes.is_writing
        is_polled = self._lanes is None or not (self._lanes.is_full or self._lanes.has_next())
        if is_polled:
            seconds, gather = (0.0, 0.0) if is_writing else (POLL_SECONDS, GATHER_SECONDS)
            for message in poll(consumer, seconds, gather):
                self._receive(consumer, message)
        # Partitions may have come or gone meanwhile.
        if self._lanes is None:
            return
        self._lanes.collect(self._pace.batch_events)
        if any(lane.merge.has_found() for lane in self._lanes):
            self._lanes.begin()
            self._lanes.is_written()
            raise Repeated("a record that was searched for has come: others are read again")
        self._throttle.hold(consumer, self._lanes)
        if is_polled:
            self._sound_alarm(self._lanes)
        self._write(self._lanes)
        self._pace.look(self._lanes.places(), has_work=self._lanes.has_work())

    def _write(self, lanes: OwnedLanes) -> None:
        """Begin to write what was collected, once the batch before it is written."""
        if lanes.is_writing:
            if not lanes.is_written(None if lanes.is_full else GLANCE_SECONDS):
                return
            if lanes.has_written:
                self._pace.wrote()
            if not lanes.has_news():
                return
        if not self._stop.is_set():
            lanes.begin()

    def _look(self, consumer: Consumer) -> None:
        """Once a second, follow a promotion and do what is asked for about dead letters."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        pointer, origin = pointer_of(self._home), read_origin(self._home)
        self._standstill.look(pointer)
        if self._owned and (pointer != self._pointer or (self._lanes and self._lanes.lack(origin))):
            self._load(consumer)
        if self._kafka.have_changed():
            _log.warning("a topic was made again: it is read from its beginning")
            raise _Stale
        if self._lanes is not None:
            self._lanes.retry_asked()
            self._commits.tell(consumer, self._owned, self._lanes.applied())

    def _receive(self, consumer: Consumer, message: Message) -> None:
        if not is_record(message):
            return
        if self._lanes is None:
            self._standstill.receive(message)
            return
        lane = self._lanes.get(message.partition() or 0)
        if lane is not None:
            is_watermark = message.topic() == self._watermarks
            if is_watermark and lane.log.end is None:
                lane.log.end = end_of(consumer, message)
            lane.receive(message, is_watermark=is_watermark)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._owned = partitions
        try:
            self._load(consumer)
        except (PyMongoError, Fenced, KafkaException, ReadModelUnknown) as error:
            # Nothing is read until it is known where from.
            consumer.assign([])
            _log.warning("projector waits", error=_why(error))

    def _on_revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._owned = []
        self._drop_lanes()

    def _drop_lanes(self) -> None:
        """Forget the lanes, once nothing more is written for them."""
        lanes, self._lanes = self._lanes, None
        if lanes is not None and (error := lanes.drop()) is not None:
            # What was not written is read again, by the projector that owns the lanes then.
            self._pace.failed(error)
            is_bug = not isinstance(error, PyMongoError | Fenced)
            _log.warning(
                "a batch failed as its lanes were left",
                error=explain(error),
                exc_info=error if is_bug else None,
            )

    def _load(self, consumer: Consumer) -> None:
        """Load the lanes' checkpoints and read on from there. Raises PyMongoError."""
        self._drop_lanes()
        self._pointer = pointer_of(self._home)
        self._standstill.look(self._pointer)
        if self._standstill.is_one:
            # The read model is about to be another one: nothing is written until it is.
            self._alarm.begin_anew()
            consumer.assign(self._standstill.places(self._owned))
            _log.info("lanes wait for a promotion", promoting=self._pointer.promoting)
            return
        let_go(self._home)
        database = sibling(self._home, self._pointer.database)
        # Partitions beyond the lanes are left by a change of lanes that was taken back.
        lanes_there = number_of_lanes(database)
        owned = {p.partition for p in self._owned}
        numbers = sorted(n for n in owned if n < lanes_there or not lanes_there)
        origin = read_origin(self._home)
        self._kafka.check_lanes(lanes_there, origin)
        self._kafka.look()
        prefix = self._settings.kafka_topic_prefix
        lanes = OwnedLanes(database, numbers, prefix, origin, self._kafka.ids)
        offsets = {n.number: {} if n.number in self._read_again else n.offsets for n in lanes}
        if any(lane.checkpoint == Checkpoint(lane.number) for lane in lanes):
            # A new read model, or one that was emptied.
            make_indexes(database)
        places = places_of(self._owned, offsets)
        self._read_again = set()
        consumer.assign(places)
        self._throttle.begin(consumer, places)
        self._lanes = lanes
        self._trouble = None
        _log.info("lanes", positions={lane.number: lane.checkpoint.position for lane in lanes})

    def _recover(self, consumer: Consumer, error: Exception) -> None:
        """Drop what is in memory, wait, and load the checkpoints again."""
        measures.RETRIES.add()
        self._pace.failed(error)
        if not isinstance(error, Repeated):
            cause, seconds = _why(error), self._pace.next_back_off()
            self._trouble = f"MongoDB or Kafka is away, or this lane was taken: {cause}"
            events = self._pace.batch_events
            _log.warning("projector waits", error=cause, seconds=seconds, batch_events=events)
            self._stop.wait(seconds)
        if self._owned:
            try:
                self._load(consumer)
            except (PyMongoError, Fenced, KafkaException, ReadModelUnknown) as again:
                _log.warning("projector still waits", error=_why(again))

    def _sound_alarm(self, lanes: OwnedLanes) -> None:
        """Say so when a lane waits for a record that does not come, and look for it again.

        Lanes are read from the beginning, once for each place where they are stuck, by a new
        consumer: a client that knew a topic before it was made again does not hear of the new one
        where its leader has a lower epoch (librdkafka, issue 4898). Where that did not help, the
        record may have been sent again behind more than may wait: all that comes is looked at.
        """
        waiting = {lane.number: lane.merge.last for lane in lanes if lane.is_waiting()}
        stuck = self._alarm.stuck(waiting, time.monotonic())
        if not stuck:
            return
        _log.error("a lane waits for the record that follows", positions=stuck, advice=ADVICE)
        self._read_again = set(self._alarm.to_read_again(stuck))
        if self._read_again:
            raise _Stale
        for lane in lanes:
            if lane.number in stuck:
                lane.merge.search()


def _why(error: Exception) -> str:
    return kafka_failure(error) if isinstance(error, KafkaException) else explain(error)
