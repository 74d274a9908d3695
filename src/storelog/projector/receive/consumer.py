"""The projector's Kafka consumer: it reads all topics, in a group whose members own whole lanes.

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
    # The relay uses no transactions, but another producer's open one would hold up its records.
    "isolation.level": "read_uncommitted",
    "partition.assignment.strategy": "range",
    # The shortest that a broker accepts: for so long a killed projector holds up the others.
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 2_000,
    # How soon new partitions are noticed after the number of lanes was raised.
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
    """Return where to continue in each partition whose lane is named in `offsets`.

    A topic that is not named there is read from its beginning.
    """
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
    """Commits to Kafka how far the lanes are applied, for the relay and for monitoring tools.

    The projector itself never reads these offsets: it continues from MongoDB's checkpoints.
    """

    def __init__(self) -> None:
        self._committed: Mapping[int, Mapping[str, int]] = {}

    def commit(
        self,
        consumer: Consumer,
        owned: Iterable[TopicPartition],
        offsets: Mapping[int, Mapping[str, int]],
    ) -> None:
        """Commit what MongoDB has for the lanes, if it has changed; waits for nothing."""
        places = [place for place in places_of(owned, offsets) if place.offset >= 0]
        if places and offsets != self._committed:
            self._committed = offsets
            consumer.commit(offsets=places, asynchronous=True)


def poll(consumer: Consumer, seconds: float, gather: float = 0.0) -> list[Message]:
    """Wait for the first message, then take all others that are there, up to a limit.

    `gather`: how many seconds to wait for messages that arrive together with the first.
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
    # librdkafka continues by itself and reads again what it could not read.
    _log.warning("kafka", error=kafka_reason(error))
    return False


def end_of(consumer: Consumer, message: Message) -> int:
    """Return the end of the message's partition when it was fetched, without asking a broker."""
    place = TopicPartition(message.topic() or "", message.partition() or 0)
    _, end = consumer.get_watermark_offsets(place, cached=True)
    return max(end, (message.offset() or 0) + 1)
