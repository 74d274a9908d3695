"""Reads topics whole, and writes them as no good relay would."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.event_codec import kafka_value, lane_of_event
from storelog.kafka import client_settings, event_topics, watermark_topic
from storelog.relay import cursor
from storelog.relay.publisher import Publisher
from storelog.relay.record_headers import record_headers
from support.system import wait_for

MAX_REPEATS = 5


def read_topics(settings: Settings, topics: Sequence[str], lanes: int = 3) -> list[Message]:
    """Return every record of the topics, from the beginning."""
    consumer = Consumer({**client_settings(settings), "group.id": "tests-reader"})
    try:
        places = [TopicPartition(topic, lane, 0) for topic in topics for lane in range(lanes)]
        ends: int = wait_for(lambda: _ends(consumer, places), "the topics to have leaders", 30) - 1
        consumer.assign(places)
        found: list[Message] = []

        def all_read() -> bool:
            found.extend(consumer.consume(1000, 0.2))
            return len(found) >= ends

        wait_for(all_read, f"{ends} records", 30)
        return found
    finally:
        consumer.close()


def make_topic(settings: Settings, topic: str, config: dict[str, str], lanes: int = 3) -> None:
    """Make a topic with settings of its own."""
    admin = AdminClient(client_settings(settings))
    for done in admin.create_topics([NewTopic(topic, lanes, 1, config=config)]).values():
        done.result(30)
    wait_for(lambda: topic in admin.list_topics(timeout=10).topics, "the topic")


def delete_topic(settings: Settings, topic: str) -> None:
    """Delete a topic, and wait until the broker has forgotten it."""
    admin = AdminClient(client_settings(settings))
    for done in admin.delete_topics([topic]).values():
        done.result(30)
    wait_for(lambda: topic not in admin.list_topics(timeout=10).topics, "no topic")


def _ends(consumer: Consumer, places: Sequence[TopicPartition]) -> int:
    """Return 1 and the number of records; 0 while a new topic has no leader yet."""
    try:
        return 1 + sum(consumer.get_watermark_offsets(place, 10)[1] for place in places)
    except KafkaException:
        return 0


def headers_of(message: Message) -> dict[str, str]:
    """Return the headers as text."""
    pairs: Any = message.headers() or []
    return {name: value.decode() for name, value in pairs}


def read_events(settings: Settings) -> list[Message]:
    return read_topics(settings, event_topics(settings))


def read_watermarks(settings: Settings) -> list[Message]:
    return read_topics(settings, [watermark_topic(settings)])


@dataclass
class Outgoing:
    """One event with its place in a lane."""

    event: Envelope
    lane: int
    lane_previous: int


class HostileRelay:
    """Sends the log to Kafka in any order, any number of times, with holes and with rubbish."""

    def __init__(self, settings: Settings, lanes: int = 3) -> None:
        self.settings = settings
        # What is sent out of order is the test's choice, not that of a request sent again.
        self._producer = Producer({**client_settings(settings), "enable.idempotence": True})
        events = asyncio.run(self._log())
        last = [0] * lanes
        self.outgoing: list[Outgoing] = []
        for event in events:
            lane = lane_of_event(event.aggregate_type, event.aggregate, event.payload, lanes)
            self.outgoing.append(Outgoing(event, lane, last[lane]))
            last[lane] = event.position
        self._last = tuple(last)

    async def _log(self) -> Sequence[Envelope]:
        connection = await cursor.connect(self.settings.postgres_url or "")
        try:
            return await cursor.read_after(connection, 0, 100_000)
        finally:
            await connection.close()

    def send(self, outgoing: Outgoing, value: bytes | None = None) -> None:
        event = outgoing.event
        self._producer.produce(
            self.settings.kafka_topic_prefix + event.event_type,
            value if value is not None else kafka_value(event.event_type, event.payload),
            event.aggregate.encode(),
            partition=outgoing.lane,
            headers=record_headers(event, event.aggregate, outgoing.lane_previous),
        )

    def send_rubbish(self, topic: str, value: bytes) -> None:
        self._producer.produce(self.settings.kafka_topic_prefix + topic, value, b"x", partition=0)

    def shuffled(
        self, seed: int, leave_out: int | None = None, last_topic: str = ""
    ) -> Iterator[Outgoing]:
        """Yield every event one to five times, as the dice of the seed say.

        In log order within a topic and any order across topics; all of `last_topic` after all else.
        """
        topics: dict[str, list[Outgoing]] = {}
        for outgoing in self.outgoing:
            if outgoing.event.position != leave_out:
                topics.setdefault(outgoing.event.event_type, []).append(outgoing)
        last = topics.pop(last_topic, [])
        dice, left = random.Random(seed), list(topics.values())
        while left:
            queue = dice.choice(left)
            yield from [queue.pop(0)] * dice.randint(1, MAX_REPEATS)
            left = [queue for queue in left if queue]
        for outgoing in last:
            yield from [outgoing] * dice.randint(1, MAX_REPEATS)

    def send_shuffled(self, seed: int, leave_out: int | None = None, last_topic: str = "") -> None:
        """Send what `shuffled` yields."""
        for outgoing in self.shuffled(seed, leave_out, last_topic):
            self.send(outgoing)
        self.flush()

    def replay(self, topic: str) -> None:
        """Send a whole topic once more."""
        for outgoing in self.outgoing:
            if outgoing.event.event_type == topic:
                self.send(outgoing)
        self.flush()

    def announce_each(self) -> None:
        """Send the watermark of each event, whether or not it was sent."""
        publisher, last = Publisher(self.settings), [0] * len(self._last)
        for outgoing in self.outgoing:
            last[outgoing.lane] = outgoing.event.position
            publisher.announce(outgoing.event, outgoing.event.position, tuple(last))
        asyncio.run(publisher.settle())

    def announce(self, times: int = 1, read_at: datetime | None = None) -> None:
        """Send the watermark that says all was sent; `read_at`: and that the log has ended."""
        publisher = Publisher(self.settings)
        last = self.outgoing[-1].event
        for _ in range(times):
            publisher.announce(last, last.position, self._last, read_at)
        asyncio.run(publisher.settle())

    def flush(self) -> None:
        assert self._producer.flush(30) == 0
