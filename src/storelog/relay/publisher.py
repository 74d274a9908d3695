"""Sends events to the nine topics, each to the partition of its lane, and waits for every copy.

Guarantees that `publish` returns only when all replicas have acknowledged all of its events; each
record names the event before it in its lane, so that a missing one is noticed.
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
    "enable.idempotence": True,
    # Where Kafka rejects a batch, none behind it is sent: that is fatal to this producer. Else a
    # later event would come before an earlier one, which is sent again.
    "enable.gapless.guarantee": True,
    # Only failures are told one by one; that all the others are acknowledged is what flush says.
    "delivery.report.only.error": True,
    "acks": "all",
    "linger.ms": 1,
    "batch.size": 262_144,
    "compression.type": "lz4",
    "message.max.bytes": MAX_RECORD_BYTES,
    # None times out by itself: a later one could arrive while an earlier one of its key did not.
    # What takes too long is thrown away all at once, by `close`.
    "delivery.timeout.ms": 0,
    "queue.buffering.max.kbytes": 65_536,
    "queue.buffering.max.messages": 100_000,
}
_THROWN_AWAY = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
_KAFKA = {"messaging.system": "kafka"}


class Publisher:
    """An idempotent producer; one at a time, by the active relay.

    `lanes_since`: up to which position was sent with fewer lanes; None where that is not known.
    `history`: of which history of the log all that is sent is.
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

        `is_announced`: with a watermark, which is acknowledged when they are.
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

        `read_at`: PostgreSQL's time at which the log ended there, if it did. Does not wait:
        whether it has arrived is found out by the next `publish` or `settle`. Raises Unavailable.
        """
        value = watermark(event, position, lanes, read_at, self.lanes_since, self.history)
        for lane in range(len(lanes)):
            self._send(self._watermarks, lane, b"watermark", value, [])

    def announce_behind(self, head: ChainedEvent | None, ahead: int, lanes: int) -> None:
        """Say to every lane that the log ends at `head`, while Kafka has its events up to `ahead`.

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
                # A batch whose beginning was thrown away or rejected must not be gone on with.
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
                    pass
                except KafkaException as error:
                    if not error.args[0].fatal():
                        raise
            self._serve(self._producer.poll, 0.1)
        self._raise_failure()
        raise Unavailable("Kafka takes no more records")

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
        """Let the producer tell what became of its records.

        A fatal error is noted, and what waits is thrown away: it would be waited for, never sent.
        """
        try:
            return call(seconds)
        except (KafkaException, SystemError) as error:
            # SystemError: a callback of ours ran after the one that told the fatal error.
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
        """Throw away what was not acknowledged; it is sent again from the log.

        Whatever another thread still sends from now on is Unavailable to it.
        """
        with self._lock:
            self._is_closed = True
            self._producer.purge()
        self._serve(self._producer.flush, 1.0)


KAFKA_FAILURES = (KafkaException, Unavailable)
