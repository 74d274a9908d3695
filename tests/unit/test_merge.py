"""The merge of a lane: whatever order the nine topics come in, records leave in log order."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from confluent_kafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from storelog.projector.receive.merge import PAUSE_ABOVE, LaneMerge
from storelog.projector.receive.record import Record
from storelog.projector.receive.throttle import Throttle

# Hash, versions, key, aggregate, value, headers, time, caller, call.
REST: Any = ("", 1, 1, "", "", b"", [], datetime(2026, 1, 1, tzinfo=UTC), None, "")


def lane_of_records(positions: list[int]) -> list[Record]:
    """Records of one lane, each on one of three topics, with offsets as Kafka would give them."""
    offsets = dict.fromkeys("abc", 0)
    records, previous = [], 0
    for position in positions:
        topic = "abc"[position % 3]
        records.append(Record(topic, 0, offsets[topic], position, previous, *REST))
        offsets[topic] += 1
        previous = position
    return records


def by_topic(records: list[Record]) -> list[list[Record]]:
    return [[record for record in records if record.topic == topic] for topic in "abc"]


def interleave(queues: list[list[Record]], seed: int) -> list[Record]:
    """Any order across topics, the right order within each."""
    dice, left, mixed = random.Random(seed), [list(queue) for queue in queues if queue], []
    while left:
        queue = dice.choice(left)
        mixed.append(queue.pop(0))
        left = [queue for queue in left if queue]
    return mixed


positions = st.lists(st.integers(1, 500), unique=True, min_size=1, max_size=60).map(sorted)


@given(positions, st.integers(0, 1000))
def test_shuffled_topics_and_repeats_leave_in_log_order_once(at: list[int], seed: int) -> None:
    records = lane_of_records(at)
    merge, taken = LaneMerge(0), []
    for record in interleave(by_topic(records), seed):
        merge.add(record)
        merge.add(record)
        taken += merge.take(7, 10**6)
        merge.add(record)
    while more := merge.take(7, 10**6):
        taken += more
    assert [record.position for record in taken] == at
    assert not merge.has_waiting()


@given(positions.filter(lambda p: len(p) > 1), st.integers(0, 1000), st.data())
def test_a_missing_record_is_waited_for_and_never_skipped(
    at: list[int], seed: int, data: st.DataObject
) -> None:
    records = lane_of_records(at)
    missing = data.draw(st.integers(0, len(records) - 2))
    merge, taken = LaneMerge(0), []
    for record in interleave(by_topic(records), seed):
        if record.position != at[missing]:
            merge.add(record)
        taken += merge.take(100, 10**6)
    assert [record.position for record in taken] == at[:missing]
    assert merge.has_waiting()
    merge.add(records[missing])
    assert [record.position for record in merge.take(1000, 10**6)] == at[missing:]


def test_what_waits_is_read_again_after_a_crash() -> None:
    first, second, third = lane_of_records([3, 6, 9])
    merge = LaneMerge(0)
    merge.add(third)
    assert merge.first_offset("a") == third.offset
    merge.add(second)
    assert merge.first_offset("a") == second.offset
    merge.add(first)
    merge.take(2, 10**6)
    assert merge.first_offset("a") == third.offset
    merge.take(1, 10**6)
    assert merge.first_offset("a") is None
    assert merge.waiting("a") == 0


def test_what_is_too_much_while_a_record_is_searched_for_is_let_go_and_read_again() -> None:
    records = lane_of_records([3 * number for number in range(1, PAUSE_ABOVE + 10)])
    kept = PAUSE_ABOVE + 2
    merge = LaneMerge(0)
    for record in records[1:kept]:
        merge.add(record)
    merge.search()
    for record in records[kept:]:
        merge.add(record)
    assert merge.waiting("a") == PAUSE_ABOVE + 1
    assert not merge.has_found()
    merge.add(records[0])
    assert merge.take(10**6, 10**9) == records[:kept]
    assert merge.has_found()
    assert merge.first_offset("a") == records[kept].offset


def test_a_search_ends_with_what_it_found() -> None:
    first, second = lane_of_records([3, 6])
    merge = LaneMerge(0)
    merge.search()
    merge.add(second)
    assert merge.is_searching
    merge.add(first)
    merge.take(2, 10**6)
    assert not merge.is_searching
    assert not merge.has_found()


def test_a_batch_ends_after_so_many_bytes_and_the_rest_follows() -> None:
    records = [replace(record, value=b"x" * 40) for record in lane_of_records([3, 6, 9])]
    merge = LaneMerge(0)
    for record in records:
        merge.add(record)
    assert merge.take(10, 41) == records[:2]
    assert merge.has_next()
    # One that alone is larger goes by itself, so that nothing stands still.
    assert merge.take(10, 1) == records[2:]
    assert not merge.has_next()


class Paused:
    """A consumer that only tells which partitions are paused."""

    def __init__(self) -> None:
        self.places: set[tuple[str, int]] = set()

    def pause(self, places: list[TopicPartition]) -> None:
        self.places |= {(place.topic, place.partition) for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self.places -= {(place.topic, place.partition) for place in places}


def test_a_topic_of_large_records_is_paused_long_before_there_are_many() -> None:
    positions = [3 * number for number in range(1, 101)]
    records = [replace(r, value=bytes(200_000)) for r in lane_of_records(positions)]
    first, *others = records
    merge = LaneMerge(0)
    lane: Any = SimpleNamespace(
        number=0, merge=merge, number_waiting=lambda topic, is_watermark: merge.waiting(topic)
    )
    consumer: Any = Paused()
    throttle = Throttle(["a", "b"], "marks")
    for record in others[:20]:
        merge.add(record)
    throttle.hold(consumer, [lane])
    assert consumer.places == set()
    for record in others[20:25]:
        merge.add(record)
    throttle.hold(consumer, [lane])
    assert consumer.places == {("a", 0)}
    merge.add(first)
    assert len(merge.take(12, 10**9)) == 12
    throttle.hold(consumer, [lane])
    assert consumer.places == {("a", 0)}
    assert len(merge.take(100, 10**9)) == 14
    assert merge.waiting_bytes("a") == 0
    throttle.hold(consumer, [lane])
    assert consumer.places == set()


def test_a_record_that_was_sent_with_fewer_lanes_follows_nothing() -> None:
    # The read model was filled up to 104, and this lane's last event is at 88.
    merge = LaneMerge(88, safe=104)
    merge.add(Record("a", 0, 0, 93, 88, *REST))
    assert not merge.has_waiting()
    own = Record("a", 0, 1, 110, 88, *REST)
    merge.add(own)
    assert merge.take(9, 10**6) == [own]
