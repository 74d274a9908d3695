"""Limits the records that wait in memory: it pauses partitions that run ahead of their lane.

Each partition is paused for its own records only: another one may hold the record that the lane
waits for.
Next: projector/receive/merge.py
"""

from collections.abc import Iterable, Sequence

from confluent_kafka import Consumer, TopicPartition

from storelog.projector.receive.lane import Lane
from storelog.projector.receive.merge import (
    PAUSE_ABOVE,
    PAUSE_ABOVE_BYTES,
    RESUME_BELOW,
    RESUME_BELOW_BYTES,
)


class Throttle:
    """Which partitions of one process are paused."""

    def __init__(self, topics: Sequence[str], watermarks: str) -> None:
        self._topics = topics
        self._watermarks = watermarks
        self._paused: set[tuple[str, int]] = set()

    def begin(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Resume all partitions: a paused one stays paused across an assignment."""
        consumer.resume(places)
        self._paused.clear()

    def hold(self, consumer: Consumer, lanes: Iterable[Lane]) -> None:
        """Pause partitions that run ahead of their lane; resume those that it caught up with."""
        for lane in lanes:
            for topic in self._topics:
                place, is_watermark = (topic, lane.number), topic == self._watermarks
                waiting = lane.number_waiting(topic, is_watermark=is_watermark)
                size = lane.merge.waiting_bytes(topic)
                is_ahead = waiting > PAUSE_ABOVE or size > PAUSE_ABOVE_BYTES
                is_back = waiting <= RESUME_BELOW and size <= RESUME_BELOW_BYTES
                is_searched = lane.merge.is_searching and not is_watermark
                if place not in self._paused and is_ahead and not is_searched:
                    self._paused.add(place)
                    consumer.pause([TopicPartition(*place)])
                elif place in self._paused and (is_back or is_searched):
                    self._paused.remove(place)
                    consumer.resume([TopicPartition(*place)])
