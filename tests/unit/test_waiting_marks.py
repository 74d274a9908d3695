"""The watermarks that a lane has not reached: until when they wait, and what they say meanwhile."""

from dataclasses import replace

import pytest

from storelog.errors import HistoryMismatch
from storelog.projector.checkpoints import Checkpoint
from storelog.projector.receive.waiting_marks import WaitingMarks
from storelog.watermark import Watermark

RECORDED = "2026-01-01T00:00:00.000Z"
READ = "2026-01-01T00:00:05.000Z"
START = replace(Checkpoint(0), position=3, safe=3, hash="aa", lanes=2)


def mark(position: int, lane_0: int, *, read_at: str | None = None) -> Watermark:
    return Watermark(position, f"hash-{position}", RECORDED, [lane_0, 0], read_at)


def waiting(*marks: Watermark) -> WaitingMarks:
    """Return the marks as lane 0 has received them, each at its own offset."""
    found = WaitingMarks(0)
    for offset, each in enumerate(marks):
        found.add(each, ("watermarks", offset), START)
    return found


def test_a_watermark_waits_until_the_lane_has_what_it_names() -> None:
    marks = waiting(mark(9, 5), mark(12, 8))
    before = marks.reach(replace(START, position=4), START)
    assert (before.safe, len(marks), marks.first_place) == (3, 2, ("watermarks", 0))
    after = marks.reach(replace(START, position=5), START)
    assert (after.safe, len(marks), marks.first_place) == (9, 1, ("watermarks", 1))


def test_what_the_newest_watermark_names_is_not_sure_to_come_until_the_log_was_found_to_end() -> (
    None
):
    assert waiting().sure_to_come() == 0
    assert waiting(mark(9, 5)).sure_to_come() == 0
    assert waiting(mark(9, 5), mark(12, 8)).sure_to_come() == 5
    assert waiting(mark(9, 5), mark(12, 8, read_at=READ)).sure_to_come() == 8


def test_a_watermark_of_fewer_lanes_or_of_no_later_position_does_not_wait() -> None:
    fewer = Watermark(9, "hash-9", RECORDED, [5])
    assert len(waiting(fewer, mark(3, 3))) == 0


def test_a_later_time_for_the_same_position_is_news_once() -> None:
    marks = waiting(mark(3, 3, read_at=READ))
    assert marks.has_news(3)
    assert marks.reach(START, START).read_at == READ
    assert not marks.has_news(3)


def test_a_watermark_that_names_another_event_stops_the_lane() -> None:
    marks = waiting(mark(5, 5))
    with pytest.raises(HistoryMismatch, match="another event at position 5"):
        marks.reach(replace(START, position=5, hash="bb"), START)


def test_what_is_announced_is_the_oldest_time_and_the_newest_position() -> None:
    announced = waiting(mark(9, 5), mark(12, 8)).announced()
    assert announced is not None
    assert (announced.oldest_recorded_at, announced.newest) == (RECORDED, 12)
    assert waiting().announced() is None
