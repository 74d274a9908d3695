"""The projector's Kafka consumer: of all topics, in a group whose members own whole lanes.

Next: projector/lanes.py
"""

from collections.abc import Iterable, Mapping

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.kafka import FETCHES, client_settings, kafka_reason

CONSUME_MESSAGES = 250
MAX_MESSAGES = 500
MAX_MESSAGES_BYTES = 8 * 1024 * 1024
_log = structlog.get_logger()
_CONSUMER = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    # The relay has no transactions: somebody else's, not yet ended, would hold up its records.
    "isolation.level": "read_uncommitted",
    "partition.assignment.strategy": "range",
    # The shortest that a broker takes: so long a killed projector, or two, hold up the others.
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 2_000,
    # How soon new partitions are noticed, after the lanes were made more.
    "topic.metadata.refresh.interval.ms": 5_000,
    **FETCHES,
}


def new_consumer(settings: Settings) -> Consumer:
    """Return a new member of the group."""
    group = {"group.id": settings.kafka_group_id}
    return Consumer({**client_settings(settings), **_CONSUMER, **group})


def places_of(
    owned: Iterable[TopicPartition], offsets: Mapping[int, Mapping[str, int]]
) -> list[TopicPartition]:
    """Return where to read on in each partition whose lane is named; a topic that is not: anew."""
    return [
        TopicPartition(
            place.topic,
            place.partition,
            offsets[place.partition].get(place.topic, OFFSET_BEGINNING),
        )
        for place in owned
        if place.partition in offsets
    ]


class Commits:
    """Tells Kafka up to where the lanes are applied, for the relay and whoever watches the group.

    Nothing is read by it: where to read on is in MongoDB.
    """

    def __init__(self) -> None:
        self._told: Mapping[int, Mapping[str, int]] = {}

    def tell(
        self,
        consumer: Consumer,
        owned: Iterable[TopicPartition],
        offsets: Mapping[int, Mapping[str, int]],
    ) -> None:
        """Commit what MongoDB has for the lanes, if it has changed; waits for nothing."""
        places = [place for place in places_of(owned, offsets) if place.offset >= 0]
        if places and offsets != self._told:
            self._told = offsets
            consumer.commit(offsets=places, asynchronous=True)


def poll(consumer: Consumer, seconds: float, gather: float = 0.0) -> list[Message]:
    """Wait for the first message, then take what else is there: a backlog in large batches.

    `gather`: for so many seconds, what comes with the first one is waited for.
    """
    first = consumer.poll(seconds)
    messages = [] if first is None else [first]
    size = 0
    while messages and len(messages) < MAX_MESSAGES and size < MAX_MESSAGES_BYTES:
        more = consumer.consume(CONSUME_MESSAGES, gather)
        gather = 0.0
        if not more:
            break
        messages += more
        size += sum(map(len, more))
    return messages


def is_record(message: Message) -> bool:
    """Tell a record from an error, which is logged. Raises CannotRun for a fatal one."""
    error = message.error()
    if error is None:
        return True
    if error.fatal():
        raise CannotRun(f"Kafka: {kafka_reason(error)}")
    # librdkafka goes on by itself; what it could not read, it reads again.
    _log.warning("kafka", error=kafka_reason(error))
    return False


def end_of(consumer: Consumer, message: Message) -> int:
    """Return where the message's partition ended when it was fetched; asks no broker."""
    place = TopicPartition(message.topic() or "", message.partition() or 0)
    _, end = consumer.get_watermark_offsets(place, cached=True)
    return max(end, (message.offset() or 0) + 1)
