"""PostgreSQL's clock as a service bounds it, and as readers learn it from the log."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from storelog.envelope import format_time
from storelog.errors import Unauthenticated
from storelog.projector import measures
from storelog.setting_types import ApiKey
from storelog.watermark import Watermark
from storelog.web import clock as clocks
from storelog.web.clock import LogClock, LogTimes, PostgresClock
from storelog.web.keyring import Keyring

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = 1_800_000_000.0
DAY = 86_400.0


class Machine:
    """A machine's two clocks: one goes on, the other may be wrong."""

    def __init__(self) -> None:
        self.passed = 5_000.0
        self.wall_is_ahead = 0.0

    def monotonic(self) -> float:
        return self.passed

    def time(self) -> float:
        return START + self.passed + self.wall_is_ahead

    def postgresql(self) -> float:
        return START + self.passed


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clocks, "time", machine)
    return machine


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=round(seconds, 3))


def read(clock: PostgresClock, machine: Machine, there: float, back: float) -> None:
    """Take a reading that went so many seconds there and back."""
    before = machine.passed
    machine.passed += there
    told = machine.postgresql()
    machine.passed += back
    clock.take(told, before, machine.passed)


@pytest.mark.parametrize("ways", [(0.2, 0.0), (0.0, 0.2), (0.05, 0.1)])
def test_now_is_never_early_and_a_stamp_never_late(
    machine: Machine, ways: tuple[float, float]
) -> None:
    clock = PostgresClock()
    read(clock, machine, *ways)
    machine.passed += 0.7
    assert clock.stamp() <= at(machine.postgresql()) <= clock.now()
    assert clock.now() - clock.stamp() <= timedelta(seconds=sum(ways) + 0.002)


def test_the_narrowest_of_the_last_readings_counts(machine: Machine) -> None:
    clock = PostgresClock()
    read(clock, machine, 0.001, 0.001)
    for _ in range(5):
        read(clock, machine, 0.4, 0.4)
    assert clock.now() - clock.stamp() <= timedelta(seconds=0.004)
    machine.passed += clocks.KEPT_SECONDS + 1
    read(clock, machine, 0.4, 0.4)
    assert clock.now() - clock.stamp() >= timedelta(seconds=0.7)


@pytest.mark.parametrize("step", [-DAY, -0.1, 0.1, 3_600.0])
def test_a_clock_that_was_set_is_followed_at_once(machine: Machine, step: float) -> None:
    clock = PostgresClock()
    read(clock, machine, 0.001, 0.001)
    before = machine.passed
    clock.take(machine.postgresql() + step, before, before + 0.001)
    assert abs(clock.seconds() - machine.postgresql() - step) < 0.01


@pytest.mark.parametrize("ahead", [-2 * DAY, 3_650 * DAY])
def test_the_wall_clock_is_compared_and_not_used(machine: Machine, ahead: float) -> None:
    machine.wall_is_ahead = ahead
    clock = PostgresClock()
    read(clock, machine, 0.001, 0.001)
    assert abs(clock.now() - at(machine.postgresql())) < timedelta(seconds=0.01)
    assert clock.facts() == {"clockDifferenceSeconds": ahead}
    machine.wall_is_ahead = 0.9
    read(clock, machine, 0.001, 0.001)
    assert clock.facts() == {}


def test_times_of_the_present_count_more_than_the_wall_clock(machine: Machine) -> None:
    for ahead in (-2 * DAY, 3_650 * DAY):
        machine.wall_is_ahead = ahead
        clock = LogClock()
        clock.compare()
        for _ in range(4):
            machine.passed += 1
            clock.saw(at(machine.postgresql() - 0.3))
        assert clock.is_sure
        assert abs(clock.seconds() - machine.postgresql()) < 0.5
        assert not clock.is_future(round(1000 * (machine.postgresql())))
        assert clock.is_future(round(1000 * (machine.postgresql() + DAY)))
        assert abs(clock.facts()["clockDifferenceSeconds"] - ahead) < 1


def test_times_of_a_backlog_do_not_make_the_present_the_future(machine: Machine) -> None:
    clock = LogClock()
    clock.compare()
    late = DAY
    while late > 10:
        machine.passed += 0.1
        late -= 60
        clock.saw(at(machine.postgresql() - late))
        assert not clock.is_sure
        assert clock.is_known == (late < 60)
        assert not clock.is_future(round(1000 * (machine.postgresql())))
        assert clock.facts() == {}
    assert clock.is_future(round(1000 * (machine.postgresql() + DAY)))


def test_old_watermarks_that_are_read_slowly_make_no_clock_wrong(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = LogClock()
    clock.compare()
    monkeypatch.setattr(measures, "CLOCK", clock)
    for _ in range(60):
        machine.passed += 0.5
        read_at = format_time(at(machine.postgresql() - 30))
        mark = Watermark(7, "aa", None, [7], read_at)
        measures.saw(mark, is_new=False)
    assert clock.facts() == {}
    machine.wall_is_ahead = 60.0
    for _ in range(10):
        machine.passed += 0.5
        read_at = format_time(at(machine.postgresql()))
        measures.saw(Watermark(8, "bb", None, [8], read_at), is_new=True)
    assert clock.facts() == {"clockDifferenceSeconds": pytest.approx(60, abs=1)}


def test_before_anything_was_seen_the_wall_clock_counts(machine: Machine) -> None:
    clock = LogClock()
    assert not clock.is_known
    assert clock.seconds() == machine.time()
    assert not clock.is_future(round(1000 * (machine.time())))
    assert clock.is_future(round(1000 * (machine.time() + 60)))


def test_the_age_of_a_time_is_told_by_the_logs_own_times(machine: Machine) -> None:
    times, ahead = LogTimes(), 3_650 * DAY
    assert times.age(at(machine.postgresql())) == 0
    times.saw(at(machine.postgresql() + ahead))
    machine.passed += 7
    assert times.age(at(machine.postgresql() + ahead - 7)) == pytest.approx(7, abs=0.01)
    times.saw(at(machine.postgresql() + ahead))
    assert times.age(at(machine.postgresql() + ahead - 9)) == pytest.approx(9, abs=0.01)


def test_keys_expire_by_postgresqls_clock(machine: Machine) -> None:
    machine.wall_is_ahead = -2 * DAY
    clock = PostgresClock()
    read(clock, machine, 0.001, 0.001)
    key = ApiKey("till", "write", sha256(b"secret").hexdigest(), machine.postgresql() + 60)
    keyring = Keyring((key,), None, clock.seconds)
    assert keyring.find("secret") == key
    machine.passed += 60
    with pytest.raises(Unauthenticated):
        keyring.find("secret")
