"""A few commands wait for others before they are written, as long as others come."""

import asyncio
import itertools

import pytest

from storelog.command_service.gathering import ENOUGH_COMMANDS, MAX_SKIPPED, Gathering

WRITE_SECONDS = 0.003


class Clock:
    """A time in seconds, which moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _write(gathering: Gathering, clock: Clock, commands: int, seconds: float) -> None:
    gathering.begin(commands)
    clock.now += seconds
    gathering.end()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gathering(clock: Clock) -> Gathering:
    gathering = Gathering(clock)
    _write(gathering, clock, 1, WRITE_SECONDS)
    return gathering


@pytest.mark.parametrize(("took", "waits"), [(0.002, 0.002), (0.008, 0.008), (5.0, 0.01)])
def test_a_command_waits_as_long_as_the_last_write_took_but_not_for_ever(
    clock: Clock, gathering: Gathering, took: float, waits: float
) -> None:
    _write(gathering, clock, 1, took)
    assert gathering.seconds_left(1) == pytest.approx(waits)
    clock.now += waits
    assert gathering.seconds_left(1) <= 0


def test_a_command_that_comes_to_an_idle_service_does_not_wait(
    clock: Clock, gathering: Gathering
) -> None:
    clock.now += 2 * WRITE_SECONDS
    assert gathering.seconds_left(1) <= 0


def test_the_first_command_of_all_does_not_wait(clock: Clock) -> None:
    assert Gathering(clock).seconds_left(1) <= 0


def test_enough_commands_do_not_wait_for_others(gathering: Gathering) -> None:
    assert gathering.seconds_left(ENOUGH_COMMANDS - 1) > 0
    assert gathering.seconds_left(ENOUGH_COMMANDS) <= 0


def test_a_batch_of_many_waits_only_for_those_whose_turn_it_is(
    clock: Clock, gathering: Gathering
) -> None:
    _write(gathering, clock, 32, 0.05)
    assert gathering.seconds_left(15) == pytest.approx(0.004)
    assert gathering.seconds_left(16) <= 0


def test_waits_that_bring_nothing_are_left_out_for_longer_each_time(
    clock: Clock, gathering: Gathering
) -> None:
    waited = []
    for batch in range(400):
        if gathering.seconds_left(1) > 0:
            waited.append(batch)
        _write(gathering, clock, 1, WRITE_SECONDS)
    gaps = [later - earlier - 1 for earlier, later in itertools.pairwise(waited)]
    assert gaps[:7] == [1, 2, 4, 8, 16, 32, MAX_SKIPPED]
    assert set(gaps[7:]) == {MAX_SKIPPED}


def test_a_wait_that_brings_a_command_is_repeated_at_once(
    clock: Clock, gathering: Gathering
) -> None:
    for _ in range(20):
        assert gathering.seconds_left(1) > 0
        assert gathering.seconds_left(2) > 0
        _write(gathering, clock, 2, WRITE_SECONDS)


def test_a_wait_ends_with_the_next_command(clock: Clock, gathering: Gathering) -> None:
    async def wait() -> tuple[bool, bool]:
        changed = asyncio.Event()
        in_vain = await gathering.is_worth_waiting(1, changed)
        changed.set()
        return in_vain, await gathering.is_worth_waiting(1, changed)

    assert asyncio.run(wait()) == (False, True)
