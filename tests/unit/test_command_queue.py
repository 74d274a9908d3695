"""The queue of commands: fair between callers, small before large in turns, with a limit."""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice

import pytest

from storelog.command_service.queue import MAX_LARGE, CallerQueues, CommandQueue
from storelog.command_service.sizes import LARGE_LINES, Size, said_size, size_of_lines
from storelog.command_service.submission import Submission
from storelog.command_service.taken import MAX_BATCH_BYTES, MAX_BATCH_LINES, Taken, Waiting
from storelog.errors import Unavailable
from storelog.shop.customer import CreateCustomer, NewCustomer
from storelog.shop.order import NewOrder, OrderLine, PlaceOrder

LARGE = size_of_lines(LARGE_LINES + 1)


@pytest.fixture(autouse=True)
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()
        asyncio.set_event_loop(None)


def waiting(
    loop: asyncio.AbstractEventLoop, caller: str, size: Size | None = None, came_at: float = 0.0
) -> Waiting:
    command = CreateCustomer(0, NewCustomer("Ann", "a@b"))
    submission = Submission(command, caller, "c", "/customers", client="127.0.0.1")
    return Waiting(submission, loop.create_future(), size or size_of_lines(1), came_at, came_at)


def popped(lanes: CallerQueues) -> Iterator[str]:
    while lanes.first() is not None:
        yield lanes.pop().submission.party


def test_a_caller_that_sends_much_leaves_every_other_its_turn(
    loop: asyncio.AbstractEventLoop,
) -> None:
    lanes = CallerQueues()
    for _ in range(100):
        lanes.put(waiting(loop, "much"))
    for caller in ("a", "b"):
        for _ in range(2):
            lanes.put(waiting(loop, caller))
    order = list(popped(lanes))
    assert sorted(order[:6]) == ["a", "a", "b", "b", "much", "much"]
    assert len(order) == 104


def test_a_client_that_sends_more_lines_has_fewer_turns(loop: asyncio.AbstractEventLoop) -> None:
    lanes = CallerQueues()
    for _ in range(50):
        lanes.put(waiting(loop, "long", size_of_lines(20)))
        lanes.put(waiting(loop, "short", size_of_lines(2)))
    first = list(islice(popped(lanes), 22))
    assert first.count("long") == 2


def test_without_a_key_the_address_is_the_caller(loop: asyncio.AbstractEventLoop) -> None:
    assert waiting(loop, "").submission.party == "127.0.0.1"
    assert waiting(loop, "till").submission.party == "till"


def test_what_is_put_back_comes_first_and_in_its_order(loop: asyncio.AbstractEventLoop) -> None:
    queue = CommandQueue(10)
    all_of_them = [waiting(loop, "a") for _ in range(4)]
    for each in all_of_them:
        queue.put(each)
    for each in all_of_them[:2]:
        assert queue.first(with_large=True) is each
        queue.pop(each)
    queue.put_back(all_of_them[:2])
    for each in all_of_them:
        assert queue.first(with_large=True) is each
        queue.pop(each)
    assert (len(queue), queue.first(with_large=True)) == (0, None)


def test_a_full_queue_makes_room_for_a_caller_that_has_less_in_it(
    loop: asyncio.AbstractEventLoop,
) -> None:
    queue = CommandQueue(5)
    much = [waiting(loop, "much") for _ in range(5)]
    for each in much:
        queue.put(each)
    with pytest.raises(Unavailable):
        queue.put(waiting(loop, "much"))
    queue.put(waiting(loop, "little"))
    assert len(queue) == 5
    dropped = much[-1].response.exception()
    assert isinstance(dropped, Unavailable)
    assert dropped.slug == "overloaded"
    assert not any(each.response.done() for each in much[:-1])


def test_large_commands_have_a_limit_of_their_own_and_say_so(
    loop: asyncio.AbstractEventLoop,
) -> None:
    queue = CommandQueue(2_000)
    for _ in range(MAX_LARGE):
        queue.put(waiting(loop, "a", LARGE))
    with pytest.raises(Unavailable, match="large"):
        queue.put(waiting(loop, "a", LARGE))
    queue.put(waiting(loop, "a"))
    assert queue.small == 1


def test_a_large_command_has_its_batch_alone_and_pauses_while_small_ones_come(
    loop: asyncio.AbstractEventLoop,
) -> None:
    queue, began = CommandQueue(10), time.monotonic()
    large, small = waiting(loop, "a", LARGE), waiting(loop, "a", came_at=began + 1)
    queue.put(large)
    queue.put(small)
    assert queue.first(with_large=True) is large
    assert queue.first(with_large=False) is small
    batch = Taken()
    batch.add(large)
    assert not batch.has_room_for(small)
    assert queue.pause_large(began - 0.3) >= 0.3
    assert queue.first(with_large=True) is small
    assert queue.pause_large(began + 2) == 0
    assert queue.first(with_large=True) is large


def test_what_has_waited_for_too_long_is_told_why(loop: asyncio.AbstractEventLoop) -> None:
    queue, now = CommandQueue(10), 100.0
    old, young = waiting(loop, "a", came_at=now - 1), waiting(loop, "a", came_at=now)
    large = waiting(loop, "b", LARGE, came_at=now - 1)
    for each in (old, young, large):
        queue.put(each)
    busy = Unavailable("Too many.", slug="overloaded")
    queue.expire(now - 8, now - 0.5, float("-inf"), busy)
    assert (old.response.done(), young.response.done(), large.response.done()) == (
        True,
        False,
        False,
    )
    queue.expire(now - 0.9, now - 0.9, float("-inf"), busy)
    assert "large" in str(large.response.exception())
    assert len(queue) == 1
    assert queue.first(with_large=True) is young
    away = Unavailable("PostgreSQL did not respond in time.")
    paused = waiting(loop, "b", LARGE, came_at=now)
    queue.put(paused)
    queue.expire(now + 1, now + 1, float("-inf"), away)
    assert young.response.exception() is away
    assert "large" in str(paused.response.exception())


def test_a_batch_is_bounded_by_lines_and_by_bytes(loop: asyncio.AbstractEventLoop) -> None:
    for size in (Size(LARGE_LINES, 1), Size(1, MAX_BATCH_BYTES // 10)):
        batch, taken = Taken(), 0
        while batch.has_room_for(waiting(loop, "a", size)):
            batch.add(waiting(loop, "a", size))
            taken += 1
        assert 1 < taken < 20
        assert (batch.lines <= MAX_BATCH_LINES, batch.bytes <= MAX_BATCH_BYTES) == (True, True)


def test_the_size_of_an_order_is_its_lines() -> None:
    lines = tuple(OrderLine(1, 1) for _ in range(LARGE_LINES + 1))
    large = said_size(PlaceOrder(0, NewOrder(1, lines)))
    small = said_size(PlaceOrder(0, NewOrder(1, lines[:3])))
    assert large is not None and small is not None
    # A name of 200 control characters has 1,200 bytes, in two events.
    assert (large.is_large, large.bytes >= len(lines) * 2 * 1_200) == (True, True)
    assert not small.is_large
