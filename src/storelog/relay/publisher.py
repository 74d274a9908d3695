"""Sends events to the nine topics, each to the partition of its lane, and waits for every copy.

Guarantees that `publish` returns only when all replicas have acknowledged all of its events; each
record names the previous event of its lane, so that a missing record is noticed.
Next: projector/projector.py
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from storelog import tracing
from storelog.config import Settings
from storelog.envelope import (
    BEHIND,
    ChainedEvent,
    Envelope,
)
from storelog.errors import Unavailable
from storelog.event_codec import kafka_value, lane_of_event
from storelog.kafka import MAX_RECORD_BYTES, client_settings, kafka_reason, watermark_topic
from storelog.log_history import LogHistory
from storelog.relay.marks import log_is_behind, watermark
from storelog.relay.record_headers import Header, record_headers

FLUSH_SECONDS = 60.0
PRODUCER = {
    # Kafka drops what the producer repeats after a lost reply, within one session.
    "enable.idempotence": True,
    # If Kafka rejects a batch, this producer fails for good and sends none after it. Otherwise a
    # later event would arrive before the earlier one, which is sent again.
    "enable.gapless.guarantee": True,
    # Only failures are reported one by one; `flush` tells that all others are acknowledged.
    "delivery.report.only.error": True,
    "acks": "all",
    "linger.ms": 1,
    "batch.size": 262_144,
    "compression.type": "lz4",
    "message.max.bytes": MAX_RECORD_BYTES,
    # No record times out by itself, since a later one of its key could then arrive without it.
    # `close` drops what takes too long, all at once.
    "delivery.timeout.ms": 0,
    "queue.buffering.max.kbytes": 65_536,
    "queue.buffering.max.messages": 100_000,
}
_THROWN_AWAY = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
_KAFKA = {"messaging.system": "kafka"}


class Publisher:
    """An idempotent producer; one at a time, by the active relay.

    `lanes_since`: the position up to which events were sent with fewer lanes; None: not known.
    `history`: the history of the log that all sent events belong to.
    """

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.kafka_topic_prefix
        self._watermarks = watermark_topic(settings)
        self._producer = Producer({**client_settings(settings), **PRODUCER})
        self._failures: list[KafkaError] = []
        self.lanes_since: int | None = None
        self.history: LogHistory | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    async def publish(
        self, events: Sequence[Envelope], lanes: tuple[int, ...], *, is_announced: bool = False
    ) -> tuple[int, ...]:
        """Send the events; return the last position in each lane. Raises Unavailable.

        `is_announced`: send a watermark with them, which is acknowledged together with them.
        """
        return await asyncio.to_thread(self._publish, events, lanes, is_announced=is_announced)

    def _publish(
        self, events: Sequence[Envelope], lanes: tuple[int, ...], *, is_announced: bool
    ) -> tuple[int, ...]:
        last = list(lanes)
        spans = tracing.BatchSpans("producer", time.time_ns()) if tracing.is_on() else None
        for event in events:
            aggregate = event.aggregate
            span = None
            if spans is not None:
                span = spans.begin(f"send {event.event_type}", event.traceparent, _KAFKA)
            lane = lane_of_event(event.aggregate_type, aggregate, event.payload, len(last))
            self._send(
                self._prefix + event.event_type,
                lane,
                aggregate.encode(),
                kafka_value(event.event_type, event.payload),
                record_headers(event, aggregate, last[lane], span, self.history),
            )
            last[lane] = event.position
        if is_announced:
            self.announce(events[-1], events[-1].position, tuple(last))
        try:
            self._settle()
        except Unavailable as error:
            if spans is not None:
                spans.end(error=str(error))
            raise
        if spans is not None:
            spans.end({"messaging.batch.message_count": len(events)})
        return tuple(last)

    def announce(
        self,
        event: Envelope | None,
        position: int,
        lanes: tuple[int, ...],
        read_at: datetime | None = None,
    ) -> None:
        """Send a watermark to every lane: where in it everything up to `position` ends.

        `read_at`: PostgreSQL's time at which the log ended there, if it did. Does not wait: the
        next `publish` or `settle` finds out whether it has arrived. Raises Unavailable.
        """
        value = watermark(event, position, lanes, read_at, self.lanes_since, self.history)
        for lane in range(len(lanes)):
            self._send(self._watermarks, lane, b"watermark", value, [])

    def announce_behind(self, head: ChainedEvent | None, ahead: int, lanes: int) -> None:
        """Tell every lane that the log ends at `head`, while Kafka has its events up to `ahead`.

        Raises Unavailable.
        """
        assert self.history is not None
        value = log_is_behind(head, ahead, self.history)
        for lane in range(lanes):
            self._send(self._watermarks, lane, BEHIND.encode(), value, [])

    async def settle(self) -> None:
        """Wait until everything that was sent is acknowledged. Raises Unavailable."""
        await asyncio.to_thread(self._settle)

    def _send(self, topic: str, lane: int, key: bytes, value: bytes, headers: list[Header]) -> None:
        give_up_at = time.monotonic() + FLUSH_SECONDS
        while time.monotonic() < give_up_at:
            with self._lock:
                # If the beginning of a batch was dropped or rejected, its rest must not be sent.
                if self._is_closed or self._failures:
                    break
                try:
                    self._producer.produce(
                        topic,
                        value,
                        key,
                        partition=lane,
                        headers=headers,
                        on_delivery=self._delivered,
                    )
                    return
                except BufferError:
                    pass  # librdkafka's queue is full: serve it below, then try again
                except KafkaException as error:
                    if not error.args[0].fatal():
                        raise
            self._serve(self._producer.poll, 0.1)
        self._raise_failure()
        raise Unavailable("Kafka has taken no records for too long")

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failures.append(error)

    def _settle(self) -> None:
        left, give_up_at = 1, time.monotonic() + FLUSH_SECONDS
        while left and not self._failures and time.monotonic() < give_up_at:
            left = self._serve(self._producer.flush, 1.0)
        self._raise_failure()
        if left:
            raise Unavailable(f"Kafka has not acknowledged {left} records")

    def _serve(self, call: Callable[[float], int], seconds: float) -> int:
        """Let the producer report the outcome of its records.

        After a fatal error the waiting records are dropped, since they would never be sent.
        """
        try:
            return call(seconds)
        except (KafkaException, SystemError) as error:
            # SystemError: another callback ran after the one that reported the fatal error.
            fatal: BaseException | None = error
            while isinstance(fatal, SystemError):
                fatal = fatal.__cause__
            if not isinstance(fatal, KafkaException):
                raise
            self._producer.purge()
            left = self._producer.flush(1.0)
            self._failures.append(fatal.args[0])
            return left

    def _raise_failure(self) -> None:
        """Raise Unavailable if a record failed, now or before."""
        if self._failures:
            rejected = [error for error in self._failures if error.code() not in _THROWN_AWAY]
            reason = kafka_reason((rejected or self._failures)[0])
            raise Unavailable(f"Kafka did not take all records: {reason}")

    def close(self) -> None:
        """Drop what was not acknowledged; it is sent again from the log.

        Another thread that still sends gets Unavailable from now on.
        """
        with self._lock:
            self._is_closed = True
            self._producer.purge()
        self._serve(self._producer.flush, 1.0)


KAFKA_FAILURES = (KafkaException, Unavailable)
