"""One batch is written while the next is collected: what a crash in between repeats."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from confluent_kafka import Message
from pymongo.database import Database

from storelog.kafka import watermark_topic
from storelog.projector.checkpoints import CHECKPOINTS, Fenced, load
from storelog.projector.databases.connection import connect, make_indexes, sibling
from storelog.projector.lanes import OwnedLanes
from storelog.upkeep.compare import compare
from support.kafka import HostileRelay, headers_of, read_events, read_watermarks
from support.system import System

ALL = (0, 1, 2)


class Feed:
    """The messages of a log that was sent shuffled, with repeats; and an empty read model."""

    def __init__(self, system: System, name: str) -> None:
        self.prefix = system.settings.kafka_topic_prefix
        self.watermarks = watermark_topic(system.settings)
        self.messages = read_events(system.settings)
        self.database = sibling(connect(system.settings), f"{system.mongo.name}-{name}")
        make_indexes(self.database)

    @property
    def last(self) -> int:
        return max(map(position_of, self.messages))

    def lanes(self) -> OwnedLanes:
        return OwnedLanes(self.database, ALL, self.prefix)

    def give(self, lanes: OwnedLanes, messages: Iterable[Message]) -> None:
        for message in messages:
            lane = lanes.get(message.partition() or 0)
            assert lane is not None
            lane.receive(message, is_watermark=message.topic() == self.watermarks)

    def to_read_again(self, messages: Iterable[Message]) -> list[Message]:
        """Return the messages that the next consumer reads."""
        saved = {place.lane: place.offsets for place in load(self.database, ALL)}
        return [
            message
            for message in messages
            if (message.offset() or 0)
            >= saved[message.partition() or 0].get(message.topic() or "", 0)
        ]


def position_of(message: Message) -> int:
    return int(headers_of(message)["position"])


@pytest.fixture
def feed(traded: System) -> Iterator[Feed]:
    HostileRelay(traded.settings).send_shuffled(12)
    feed = Feed(traded, "overlap")
    yield feed
    feed.database.client.drop_database(feed.database.name)
    feed.database.client.close()


def write(lanes: OwnedLanes) -> None:
    """Write all that was given, with nothing collected meanwhile."""
    lanes.collect()
    lanes.begin()
    assert lanes.is_written()


def one_after_the_other(feed: Feed, database: Database[dict[str, Any]]) -> None:
    make_indexes(database)
    lanes = OwnedLanes(database, ALL, feed.prefix)
    feed.give(lanes, feed.messages)
    while lanes.has_next():
        lanes.collect(6)
        lanes.begin()
        assert lanes.is_written()
    assert lanes.drop() is None


def test_what_is_collected_but_not_written_is_read_again_after_a_crash(feed: Feed) -> None:
    half = feed.last // 2
    lanes = feed.lanes()
    feed.give(lanes, (m for m in feed.messages if position_of(m) <= half))
    lanes.collect()
    lanes.begin()
    feed.give(lanes, (m for m in feed.messages if position_of(m) > half))
    lanes.collect()
    assert lanes.is_written()
    assert lanes.drop() is None
    assert max(place.position for place in load(feed.database, ALL)) == half

    again = feed.to_read_again(feed.messages)
    lanes = feed.lanes()
    feed.give(lanes, again)
    write(lanes)
    assert lanes.drop() is None
    assert max(place.position for place in load(feed.database, ALL)) == feed.last
    other = sibling(feed.database, f"{feed.database.name}-sequential")
    one_after_the_other(feed, other)
    report = compare(other, feed.database, feed.last)
    other.client.drop_database(other.name)
    assert not report.differences
    assert report.checked["mongodb.orders"] > 0


def test_watermarks_that_were_not_reached_are_read_again_after_a_crash(
    feed: Feed, traded: System
) -> None:
    """No relay may be there to send others."""
    HostileRelay(traded.settings).announce()
    marks, half = read_watermarks(traded.settings), feed.last // 2
    lanes = feed.lanes()
    feed.give(lanes, (m for m in feed.messages if position_of(m) <= half))
    feed.give(lanes, marks)
    write(lanes)
    assert lanes.drop() is None
    assert {place.safe for place in load(feed.database, ALL)} == {0}
    lanes = feed.lanes()
    feed.give(lanes, feed.messages)
    feed.give(lanes, feed.to_read_again(marks))
    write(lanes)
    assert lanes.drop() is None
    assert {place.safe for place in load(feed.database, ALL)} == {feed.last}
    # What was reached is not read again.
    assert feed.to_read_again(marks) == []


def test_a_batch_that_failed_is_told_before_the_next_is_begun(feed: Feed) -> None:
    half = feed.last // 2
    lanes = feed.lanes()
    feed.give(lanes, (m for m in feed.messages if position_of(m) <= half))
    write(lanes)
    feed.database[CHECKPOINTS].update_many({}, {"$inc": {"safe": 1}})
    feed.give(lanes, (m for m in feed.messages if position_of(m) > half))
    lanes.collect()
    lanes.begin()
    with pytest.raises(Fenced):
        lanes.begin()
    assert lanes.drop() is None
    assert max(place.position for place in load(feed.database, ALL)) == half


def test_foreign_records_fill_a_batch_like_others(traded: System) -> None:
    relay = HostileRelay(traded.settings)
    for number in range(30):
        relay.send_rubbish("ProductSold", b"%d" % number)
    relay.flush()
    feed = Feed(traded, "foreign")
    lanes = feed.lanes()
    feed.give(lanes, feed.messages)
    lanes.collect(limit=60)
    assert lanes.is_full
    lanes.begin()
    assert lanes.is_written()
    lanes.collect(limit=60)
    assert not lanes.is_full
    assert not lanes.has_news()
    assert lanes.drop() is None
    (place, *_) = load(feed.database, ALL)
    assert place.dead_letters == 0
    assert set(place.offsets.values()) == {30}
    assert feed.database["dead_letters"].count_documents({"state": "foreign"}) == 30
    feed.database.client.drop_database(feed.database.name)
    feed.database.client.close()
