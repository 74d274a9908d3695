"""The sources of a rebuild: the log, or Kafka; each gives the events in log order without a gap.

Next: upkeep/rebuild.py
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import asyncpg
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from storelog.config import Settings
from storelog.envelope import format_time
from storelog.errors import CannotRun, PoisonRecord
from storelog.event_codec import lane_of, owner_of
from storelog.kafka import FETCHES, client_settings, event_topics, kafka_failure, kafka_reason
from storelog.origin import Origin
from storelog.projector.receive.proof import check_record
from storelog.projector.receive.record import Record, change_of, header_of, read_record
from storelog.relay import cursor
from storelog.shop.events import ENTITIES
from storelog.upkeep.carry_over import lane_in_log
from storelog.upkeep.fill import Fill

READ_EVENTS = 5_000
PAUSE_ABOVE = 20_000
READ_SECONDS = 10.0
LOG_SECONDS = 30.0
Progress = Callable[[str, int, int], None]
_CONSUMER = {"enable.auto.commit": False, "isolation.level": "read_uncommitted", **FETCHES}


async def fill_from_log(
    connection: asyncpg.Connection, fill: Fill, up_to: int, progress: Progress
) -> None:
    """Fill with the log's events up to a position. Raises HistoryMismatch at a gap."""
    try:
        while fill.position < up_to:
            some = min(READ_EVENTS, up_to - fill.position)
            events = (await cursor.read_some(connection, fill.position, some)).events
            if not events:
                raise CannotRun(f"the log ends at {fill.position}, before position {up_to}")
            for event in events:
                fill.add_event(event)
                if fill.is_full or fill.position >= up_to:
                    await asyncio.to_thread(fill.write, format_time(event.recorded_at))
            progress("events", fill.position, up_to)
    finally:
        await asyncio.to_thread(fill.finish)


# Entities whose events travel in the lane of another.
_OWNED = frozenset(entity.name for entity in ENTITIES if entity.owner is not None)


class KafkaSource:
    """The nine topics from the beginning, merged by position, whatever the number of lanes was.

    An order's lane is its customer's. If a payload cannot be read, the customer comes from the log,
    so that an order's events are in one lane even if the number of lanes has changed between them.
    Events of an abandoned history are skipped.
    """

    def __init__(
        self,
        settings: Settings,
        connection: asyncpg.Connection,
        lanes: int,
        origin: Origin,
    ) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._prefix = settings.kafka_topic_prefix
        self._lanes = lanes
        self._origin = origin
        group = f"{settings.kafka_group_id}-rebuild"
        self._consumer = Consumer({**client_settings(settings), **_CONSUMER, "group.id": group})
        self._places = [
            TopicPartition(topic, lane, 0)
            for topic in event_topics(settings)
            for lane in range(lanes)
        ]
        self._waiting: dict[int, Record] = {}
        self._counts: Counter[tuple[str, int]] = Counter()
        self._paused: set[tuple[str, int]] = set()

    def fill(self, fill: Fill, up_to: int, progress: Progress) -> None:
        """Fill the read model with Kafka's events up to a position.

        Raises CannotRun if Kafka has lost events or cannot be reached.
        """
        try:
            self._consumer.assign(self._places)
            while fill.position < up_to:
                first = self._consumer.poll(READ_SECONDS)
                messages = [] if first is None else [first, *self._consumer.consume(READ_EVENTS, 0)]
                for message in messages:
                    self._receive(message, fill.position)
                self._advance(fill, up_to, progress)
                if not messages and fill.position < up_to:
                    raise CannotRun(
                        f"Kafka has no event {fill.position + 1}, the relay has sent {up_to}: its"
                        " topics were emptied, shortened or made again. Use --from log; and"
                        f" `storelog resend --from {fill.position + 1}` fills Kafka again"
                    )
        except KafkaException as error:
            raise CannotRun(kafka_failure(error)) from error
        finally:
            try:
                self._consumer.close()
            finally:
                fill.finish()

    def _receive(self, message: Message, done: int) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise CannotRun(f"Kafka: {kafka_reason(error)}")
            return
        try:
            record = read_record(message)
            check_record(record, self._origin)
            if self._origin.is_lost(header_of(record, "history"), record.position):
                return
        except PoisonRecord:
            return  # Not the relay's; the live read model keeps it as a dead letter.
        if record.position <= done or record.position in self._waiting:
            return
        self._waiting[record.position] = record
        place = (record.topic, record.lane)
        self._counts[place] += 1
        if self._counts[place] > PAUSE_ABOVE and place not in self._paused:
            self._paused.add(place)
            self._consumer.pause([TopicPartition(*place)])

    def _advance(self, fill: Fill, up_to: int, progress: Progress) -> None:
        recorded_at: str | None = None
        while fill.position < up_to:
            record = self._waiting.pop(fill.position + 1, None)
            if record is None:
                break
            place = (record.topic, record.lane)
            self._counts[place] -= 1
            if place in self._paused and self._counts[place] < PAUSE_ABOVE // 2:
                self._paused.remove(place)
                self._consumer.resume([TopicPartition(*place)])
            fill.add_record(record, self._lane_of(record))
            recorded_at = _recorded_at(record)
            if fill.is_full:
                fill.write(recorded_at)
                progress("events", fill.position, up_to)
        if fill.position >= up_to and fill.has_writes:
            fill.write(recorded_at)

    def _lane_of(self, record: Record) -> int:
        if record.aggregate.partition("-")[0] not in _OWNED:
            return lane_of(record.aggregate, self._lanes)
        try:
            event = change_of(record, record.topic.removeprefix(self._prefix)).event
        except PoisonRecord:
            asked = lane_in_log(self._connection, record.position, self._lanes)
            return asyncio.run_coroutine_threadsafe(asked, self._loop).result(LOG_SECONDS)
        return lane_of(owner_of(event), self._lanes)


def _recorded_at(record: Record) -> str | None:
    value: Any = dict(record.headers).get("recorded_at")
    return value.decode("ascii", "replace") if isinstance(value, bytes) else None
