"""The projector: Kafka to MongoDB, each lane in log order, each event applied once.

One consumer reads all ten topics. The range assignor gives it the same partition of each, so it
owns whole lanes. It continues where MongoDB's checkpoints say. Errors of MongoDB are retried for
ever, with back-off, from the checkpoints; no event is ever dropped after an error.
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
# Records that the relay sent together, with their watermark, arrive within this: one batch.
GATHER_SECONDS = 0.004
# How often new records are collected while a batch is written, unless the next one is full.
GLANCE_SECONDS = 0.01
# The limit for a response of MongoDB, in case the connection is dead. A batch that takes longer is
# tried in smaller parts, so a slow server is not sent the same batch again and again.
ANSWER_SECONDS = 15.0
LOOK_SECONDS = 1.0
_log = structlog.get_logger()


class _Stale(Exception):
    """The consumer's view of its topics may be out of date: a new consumer must take over."""


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
        """Return the facts for health. Raises Unavailable where the read model does not move."""
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
        """Set the metrics of the lanes, for a scrape."""
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
        """Project with one consumer until its view of the topics is stale, or until stopped."""
        consumer = new_consumer(self._settings)
        consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke)
        try:
            while not self._stop.is_set():
                try:
                    self._step(consumer)
                    continue
                except (PyMongoError, Fenced, KafkaException, ReadModelUnknown) as error:
                    self._recover(consumer, error)
                # The error's frames still hold the dropped lanes: free them before loading others.
                gc.collect()
        except _Stale:
            return
        finally:
            consumer.close()
            self._on_revoke(consumer, [])

    def _step(self, consumer: Consumer) -> None:
        self._look(consumer)
        if self._owned and self._lanes is None and not self._standstill.is_active:
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
        """Begin to write the open batch once the batch before it is written."""
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
        """Once a second, follow a promotion and act on requests about dead letters."""
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
            self._lanes.settle_letters()
            self._commits.commit(consumer, self._owned, self._lanes.applied())

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
            # Without checkpoints it is unknown where to read, so no partition is read yet.
            consumer.assign([])
            _log.warning("projector waits", error=_why(error))

    def _on_revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._owned = []
        self._drop_lanes()

    def _drop_lanes(self) -> None:
        """Forget the lanes once the batch that is being written has ended."""
        lanes, self._lanes = self._lanes, None
        if lanes is not None and (error := lanes.drop()) is not None:
            # The lanes' next owner reads again what was not written.
            self._pace.failed(error)
            is_bug = not isinstance(error, PyMongoError | Fenced)
            _log.warning(
                "a batch failed as its lanes were left",
                error=explain(error),
                exc_info=error if is_bug else None,
            )

    def _load(self, consumer: Consumer) -> None:
        """Load the lanes' checkpoints and continue from there. Raises PyMongoError."""
        self._drop_lanes()
        self._pointer = pointer_of(self._home)
        self._standstill.look(self._pointer)
        if self._standstill.is_active:
            # Another read model is about to become active: nothing is written until it is.
            self._alarm.reset()
            consumer.assign(self._standstill.places(self._owned))
            _log.info("lanes wait for a promotion", promoting=self._pointer.promoting)
            return
        let_go(self._home)
        database = sibling(self._home, self._pointer.database)
        # A change of lanes that was taken back leaves partitions beyond the lanes.
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
            # The read model is new, or was emptied.
            make_indexes(database)
        places = places_of(self._owned, offsets)
        self._read_again = set()
        consumer.assign(places)
        self._throttle.begin(consumer, places)
        self._lanes = lanes
        self._trouble = None
        _log.info("lanes", positions={lane.number: lane.checkpoint.position for lane in lanes})

    def _recover(self, consumer: Consumer, error: Exception) -> None:
        """Drop the lanes in memory, wait, and load the checkpoints again."""
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
        """Log a lane that waits for a record that does not come, and look for the record again.

        Such a lane is read from its beginning, once for each position at which it stops, by a new
        consumer: a client that knew a topic before it was created again does not notice the new one
        if its leader has a lower epoch (librdkafka, issue 4898). If that does not help, the record
        may have been sent again after more records than may wait, so the lane searches all of them.
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
