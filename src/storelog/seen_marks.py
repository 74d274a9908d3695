"""The newest places of the log that Kafka has seen, by what ends its partitions.

Only records that prove their place in a log count; foreign records, transaction markers and gaps in
the offsets are skipped.
Next: relay/log_identity.py
"""

import time
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from storelog.config import Settings
from storelog.envelope import HISTORY, MARK, RECORD, proof_of
from storelog.errors import Unavailable
from storelog.kafka import client_settings, event_topics, watermark_topic
from storelog.log_history import Histories, is_lost, number_of
from storelog.watermark import Watermark

READ_SECONDS = 10.0
# How many records before the end of a partition are read; more if none of them is this log's.
LOOK_BACK = (16, 256, 4_096, 65_536)
Partition = tuple[str, int]
PartitionBounds = dict[Partition, tuple[int, int]]
_log = structlog.get_logger()


class SeenMark(msgspec.Struct):
    """A position that Kafka has seen, and the hash of its event."""

    position: int
    hash: str
    history: str | None = None


def newest_marks(
    settings: Settings, proven_from: int | None = None, known: Histories = ()
) -> tuple[list[SeenMark], bool]:
    """Return what the newest watermark and the last record of each partition say, newest first.

    Also return whether every partition's last own record was found, among foreign ones.

    From the position `proven_from` on only records with a proof count; those of a history that was
    left (`known`: all histories) do not. Raises KafkaException and Unavailable.
    """
    consumer = _consumer(settings)
    marks: dict[Partition, SeenMark] = {}
    try:
        topics = [watermark_topic(settings), *event_topics(settings)]
        left = _bounds(consumer, topics, READ_SECONDS)
        for back in LOOK_BACK:
            if not left:
                break
            reader = _MessageReader(proven_from, known)
            is_read = _read_back(consumer, left, back, reader, marks, READ_SECONDS)
            if not is_read and back == LOOK_BACK[0]:
                raise Unavailable("Kafka does not give its newest records")
            if not is_read:
                break
            left = {
                place: (low, high)
                for place, (low, high) in left.items()
                if place not in marks and high - back > low
            }
    finally:
        consumer.close()
    if left:
        _log.warning("partitions end with many records that are not this log's", number=len(left))
    return sorted((m for m in marks.values() if m.position), key=lambda m: -m.position), not left


def newest_watermarks(settings: Settings, seconds: float) -> list[SeenMark]:
    """Return what the newest watermarks say that prove themselves, some of each lane.

    Each request to Kafka takes at most so many seconds. Raises KafkaException.
    """
    consumer = _consumer(settings)
    marks: dict[Partition, SeenMark] = {}
    try:
        bounds = _bounds(consumer, [watermark_topic(settings)], seconds)
        # From position 0 on: of what does not prove itself nothing counts.
        _read_back(consumer, bounds, LOOK_BACK[0], _MessageReader(0, ()), marks, seconds)
    finally:
        consumer.close()
    return list(marks.values())


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            **client_settings(settings),
            "group.id": f"{settings.kafka_group_id}-history",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_uncommitted",
        }
    )


def _bounds(consumer: Consumer, topics: list[str], seconds: float) -> PartitionBounds:
    """Return where each partition that has records begins and ends."""
    known = consumer.list_topics(timeout=seconds).topics
    places = [(topic, n) for topic in topics if topic in known for n in known[topic].partitions]
    bounds = {
        place: consumer.get_watermark_offsets(TopicPartition(*place), seconds) for place in places
    }
    return {place: (low, high) for place, (low, high) in bounds.items() if high > low}


def _read_back(
    consumer: Consumer,
    bounds: PartitionBounds,
    back: int,
    reader: "_MessageReader",
    marks: dict[Partition, SeenMark],
    seconds: float,
) -> bool:
    """Note the newest mark among the last records of each partition; return whether all was read.

    Markers of transactions have offsets but are never delivered, so Kafka itself tells the end.
    """
    consumer.assign(
        [TopicPartition(*place, max(low, high - back)) for place, (low, high) in bounds.items()]
    )
    unread = set(bounds)
    give_up_at = time.monotonic() + seconds
    while unread and time.monotonic() < give_up_at:
        for message in consumer.consume(1_000, 0.1):
            place = (message.topic() or "", message.partition() or 0)
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(place)
                continue
            mark = reader.read(message)
            if mark is not None and place in bounds:
                marks[place] = mark
            if (message.offset() or 0) + 1 >= bounds.get(place, (0, 0))[1]:
                unread.discard(place)
    return not unread


@dataclass(frozen=True, slots=True)
class _MessageReader:
    """Reads from messages their place in the log."""

    proven_from: int | None
    known: Histories

    def read(self, message: Message) -> SeenMark | None:
        """Return a message's place; None if it is not the relay's or its history was left."""
        mark = _mark_of(message, self.proven_from)
        if mark is None:
            return None
        number = number_of(self.known, mark.history)
        is_left = number is not None and is_lost(self.known, number, mark.position)
        return None if is_left else mark


def _mark_of(message: Message, proven_from: int | None) -> SeenMark | None:
    """Return the message's place in the log, None for one that is not the relay's."""
    pairs: Any = message.headers() or []
    try:
        if pairs:
            headers = {name: value.decode() for name, value in pairs}
            mark = SeenMark(int(headers["position"]), headers["hash"], headers.get("history"))
            facts: tuple[Any, ...] = (mark.position, int(headers["lane_previous"]))
            before, proof, kind = headers.get("previous_hash"), headers.get("proof"), RECORD
            of_history: tuple[Any, ...] = (mark.history,)
            own_proof = headers.get("history_proof")
        else:
            said = msgspec.json.decode(message.value() or b"", type=Watermark)
            mark = SeenMark(said.position, said.hash, said.history)
            facts = (said.position, *said.lanes, said.recordedAt, said.readAt)
            before, proof, kind = said.previousHash, said.proof, MARK
            of_history, own_proof = (said.history, said.beganAfter), said.historyProof
        if len(bytes.fromhex(mark.hash)) != 32 and mark.position:
            return None
    except (msgspec.MsgspecError, RecursionError, ValueError, KeyError, AttributeError):
        return None
    if before is None or proof is None:
        is_earlier = proven_from is None or mark.position < proven_from
        return mark if is_earlier and 0 <= mark.position < 2**63 else None
    if mark.history is not None:
        wanted = proof_of(HISTORY, before, mark.hash, mark.position, *of_history)
        if own_proof != wanted:
            return None
    return mark if proof == proof_of(kind, before, mark.hash, *facts) else None
