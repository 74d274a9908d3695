"""Kafka's topics: their ids, and the number of lanes with which their records were sent.

A topic that was deleted and created again has other records at the stored offsets; its id tells.
Guarantees that no read model is filled from records of different numbers of lanes: with each number
an aggregate's events are in other partitions, so events could be missed.
Next: projector/lanes.py
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
    Uuid,
)
from confluent_kafka.admin import AdminClient

from storelog.config import Settings
from storelog.errors import PoisonRecord
from storelog.kafka import client_settings, kafka_failure, watermark_topic
from storelog.origin import Origin
from storelog.projector.checkpoints import Fenced
from storelog.projector.receive.proof import check_mark
from storelog.projector.receive.record import read_watermark
from storelog.watermark import Watermark

# How soon a topic that was created again is noticed while it is read, and at loading.
LOOK_SECONDS, SURE_SECONDS = 10.0, 1.0
ANSWER_SECONDS = 2.0
READ_SECONDS = 10.0
# How many records before the end of a partition are searched; more if none of them is the relay's.
LOOK_BACK = (16, 256, 4_096, 65_536)
LOOK_AHEAD = 256
_CONSUMER = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "isolation.level": "read_uncommitted",
}
# The id that a broker without ids reports. The same topic may get a real one later.
_NO_ID = str(Uuid(0, 0))
_log = structlog.get_logger()


class LanesDiffer(Fenced):
    """Kafka's records were not all sent with the read model's number of lanes."""


class Topics:
    """`ids`: each topic's id, as far as known; used from one thread.

    `trouble`: why Kafka's records cannot fill the read model, None where they can.
    """

    def __init__(self, settings: Settings, topics: Iterable[str]) -> None:
        self._settings = settings
        self._names = list(topics)
        self._admin: AdminClient | None = None
        self._looked_at = float("-inf")
        self._lanes = 0
        self._last_sent: _SentLanes | None = None
        self._sent_at = float("-inf")
        self.ids: dict[str, str] = {}
        self.trouble: str | None = None

    def have_changed(self) -> bool:
        """Tell whether a topic was created again since the last look, every LOOK_SECONDS."""
        before = dict(self.ids)
        self.look(LOOK_SECONDS)
        return any(self.ids.get(topic) != known for topic, known in before.items())

    def look(self, within: float = SURE_SECONDS) -> None:
        """Read the ids, unless that was `within` seconds ago; on an error the known ones stay."""
        if time.monotonic() - self._looked_at < within:
            return
        try:
            if self._admin is None:
                self._admin = AdminClient({**client_settings(self._settings), "log_level": 0})
            asked = TopicCollection(self._names)
            described = self._admin.describe_topics(asked, request_timeout=ANSWER_SECONDS)
        except KafkaException as error:
            _log.warning("topics cannot be described", error=kafka_failure(error))
            self._looked_at = time.monotonic()
            return
        failures: list[KafkaException] = []
        for topic, answer in described.items():
            try:
                topic_id = str(answer.result(2 * ANSWER_SECONDS).topic_id)
            except KafkaException as error:
                # The topic may be deleted and not created again yet.
                failures.append(error)
                continue
            if topic_id != _NO_ID:
                self.ids[topic] = topic_id
        if failures:
            _log.warning("topics cannot be described", error=kafka_failure(failures[0]))
        self._looked_at = time.monotonic()

    def check_lanes(self, lanes: int, origin: Origin | None) -> None:
        """Check that Kafka's records can fill a read model with `lanes` lanes; 0: a new one.

        Raises LanesDiffer, and KafkaException.
        """
        is_known = lanes > 0 and lanes == self._lanes
        sent = None if is_known else self._sent(lanes, origin)
        self.trouble = None
        if sent is None:
            return
        # The relay may not have sent anything since the number of lanes was raised.
        self._lanes = max(self._lanes, sent.lanes, lanes)
        if sent.lanes > lanes if lanes else sent.is_mixed:
            self.trouble = (
                f"Kafka alone cannot fill this read model: there are {sent.lanes} lanes now, and"
                " earlier records are in the lanes of their time. Run `storelog rebuild --promote`"
            )
            raise LanesDiffer(self.trouble)

    def _sent(self, lanes: int, origin: Origin | None) -> "_SentLanes | None":
        """Return the last result, unless it is too old or has fewer lanes than are known now."""
        found = 0 if self._last_sent is None else self._last_sent.lanes
        if found < max(lanes, self._lanes) or time.monotonic() - self._sent_at > LOOK_SECONDS:
            self._last_sent = self._look_at_marks(origin)
            self._sent_at = time.monotonic()
        return self._last_sent

    def _look_at_marks(self, origin: Origin | None) -> "_SentLanes | None":
        """Return the number of lanes of the relay's watermarks, None before it has sent any."""
        # It joins no group, but an account may be allowed to use no other name.
        group = {"group.id": self._settings.kafka_group_id}
        consumer = Consumer({**client_settings(self._settings), **_CONSUMER, **group})
        place = TopicPartition(watermark_topic(self._settings), 0)
        try:
            first, end = consumer.get_watermark_offsets(place, READ_SECONDS)
            for back in LOOK_BACK:
                start = max(first, end - back)
                marks = _read(consumer, place, start, end, origin)
                if marks:
                    ahead = min(first + LOOK_AHEAD, end)
                    oldest = [*_read(consumer, place, first, ahead, origin), *marks][0]
                    return _SentLanes.of(oldest, marks[-1])
                if start == first:
                    return None
        finally:
            consumer.close()
        _log.warning("the watermarks end with many records that are not this log's")
        return None


@dataclass(frozen=True, slots=True)
class _SentLanes:
    """The number of lanes now, and whether anything was sent with fewer."""

    lanes: int
    is_mixed: bool

    @classmethod
    def of(cls, oldest: Watermark, newest: Watermark) -> "_SentLanes":
        lanes = len(newest.lanes)
        if newest.lanesSince is not None:
            return cls(lanes, newest.lanesSince > 0)
        # An earlier relay's watermark. The oldest ones may be compacted away, which hides a change.
        return cls(lanes, len(oldest.lanes) < lanes)


def _read(
    consumer: Consumer, place: TopicPartition, start: int, end: int, origin: Origin | None
) -> list[Watermark]:
    """Return the relay's watermarks between two offsets. Raises KafkaException."""
    if start >= end:
        return []
    marks: list[Watermark] = []
    consumer.assign([TopicPartition(place.topic, place.partition, start)])
    give_up_at = time.monotonic() + READ_SECONDS
    while time.monotonic() < give_up_at:
        for message in consumer.consume(1_000, 0.1):
            error = message.error()
            if error is not None:
                # The last offsets may be transaction markers, which are never delivered.
                if error.code() == KafkaError._PARTITION_EOF:
                    return marks
                raise KafkaException(error)
            mark = _mark_of(message.value() or b"", origin)
            if mark is not None and (message.offset() or 0) < end:
                marks.append(mark)
            if (message.offset() or 0) + 1 >= end:
                return marks
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def _mark_of(value: bytes, origin: Origin | None) -> Watermark | None:
    try:
        mark = read_watermark(value)
        check_mark(mark, origin)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, PoisonRecord):
        return None
    return mark


def same_topics(
    offsets: Mapping[str, int], known: Mapping[str, Any], now: Mapping[str, str]
) -> dict[str, int]:
    """Return the offsets that still apply: none of a topic that was created again.

    Offsets of a topic whose id is unknown, then or now, are kept.
    """
    return {
        topic: offset
        for topic, offset in offsets.items()
        if known.get(topic) is None or now.get(topic, known[topic]) == known[topic]
    }
