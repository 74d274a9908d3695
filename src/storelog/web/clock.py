"""PostgreSQL's clock, as each process knows it.

Every time in the log is PostgreSQL's. A process measures how far that clock is from its own
monotonic one, by round trips; its wall clock is only compared, and may be years off. The readers
have no account in PostgreSQL: they learn its time from the log's events and watermarks.
Next: command_service/landing.py
"""

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from storelog.envelope import format_time, milliseconds
from storelog.web.metrics import gauge

REFRESH_SECONDS = 1.0
KEPT_SECONDS = 10.0
# Two clocks of one machine drift apart by less than this while a reading is kept.
DRIFT_SECONDS = 0.002
WRONG_SECONDS = 1.0
SAY_AGAIN_SECONDS = 60.0
# Times that come through Kafka are late by that way: a smaller difference proves no wrong clock.
LATE_SECONDS = 5.0
MOST_LATE_SECONDS = 60.0
DIFFERENCE = gauge(
    "storelog_clock_difference_seconds",
    "This process's clock less PostgreSQL's, whose times are in the log; 0 while it is not known.",
).of()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger()


class Comparison:
    """How far the process's wall clock is from PostgreSQL's; says so when it is too far."""

    def __init__(self) -> None:
        self._difference = 0.0
        self._say_at = 0.0
        DIFFERENCE.read = lambda: self._difference

    @property
    def is_wrong(self) -> bool:
        """Whether the clocks differ by more than a second."""
        return abs(self._difference) > WRONG_SECONDS

    def compare(self, seconds: float) -> None:
        """Take note of the difference, positive for a wall clock that is ahead."""
        was_wrong, self._difference = self.is_wrong, seconds
        if self.is_wrong and (not was_wrong or time.monotonic() >= self._say_at):
            self._say_at = time.monotonic() + SAY_AGAIN_SECONDS
            _log.warning(
                "this machine's clock differs from PostgreSQL's; the log has PostgreSQL's time",
                seconds=round(seconds, 3),
            )
        elif was_wrong and not self.is_wrong:
            _log.info("this machine's clock agrees with PostgreSQL's again")

    def facts(self) -> dict[str, Any]:
        """Return what health says about the clocks: nothing where they agree."""
        return {"clockDifferenceSeconds": round(self._difference, 3)} if self.is_wrong else {}


class PostgresClock:
    """PostgreSQL's clock between two bounds: `now` is never early, `stamp` never late.

    Each reading bounds the distance to the monotonic clock; the narrowest of the last ones hold.
    """

    def __init__(self) -> None:
        self._readings: deque[tuple[float, float, float]] = deque()
        self._low = self._high = 0.0
        self._say_at = 0.0
        self._comparison = Comparison()
        self.facts = self._comparison.facts

    async def keep_current(self, connection: Any) -> None:
        """Measure, unless the last reading is less than a second old."""
        if not self._readings or time.monotonic() - self._readings[-1][0] > REFRESH_SECONDS:
            await self.measure(connection)

    async def measure(self, connection: Any) -> None:
        """Ask PostgreSQL for its time. Raises what the connection does."""
        before = time.monotonic()
        at = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        self.take(at, before, time.monotonic())

    def take(self, at: float, before: float, after: float, *, is_alone: bool = False) -> None:
        """Add a reading: PostgreSQL's clock was `at` between two monotonic times.

        `is_alone`: earlier readings were wrong, and are dropped.
        """
        low, high = at - after, at - before
        has_stepped = low > self._high + DRIFT_SECONDS or high < self._low - DRIFT_SECONDS
        # A clock that was set cannot be narrowed down by readings from before.
        if is_alone or has_stepped:
            self._readings.clear()
        self._readings.append((after, low, high))
        while self._readings[0][0] < after - KEPT_SECONDS:
            self._readings.popleft()
        self._low = max(low for _, low, _ in self._readings)
        self._high = max(self._low, min(high for _, _, high in self._readings))
        self._comparison.compare(time.time() - time.monotonic() - (self._low + self._high) / 2)

    def now(self) -> datetime:
        """Return the time, cut off to milliseconds: never before PostgreSQL's."""
        return to_milliseconds(self._high + time.monotonic())

    def seconds(self) -> float:
        """Return the time in seconds since 1970; before any reading, the wall clock's."""
        return self._high + time.monotonic() if self._readings else time.time()

    def stamp(self) -> datetime:
        """Return the time, cut off to milliseconds: never after PostgreSQL's."""
        return to_milliseconds(self._low + time.monotonic())

    def seconds_ahead(self, recorded_at: datetime) -> float:
        """Return how far the time of the log's last event is ahead, 0 where it is not.

        Logs a warning, since until then all events are recorded at that one time.
        """
        ahead = recorded_at.timestamp() - self.seconds()
        if ahead <= WRONG_SECONDS:
            return 0.0
        if time.monotonic() >= self._say_at:
            self._say_at = time.monotonic() + SAY_AGAIN_SECONDS
            _log.warning(
                "the log's last event was recorded ahead of PostgreSQL's clock; events are recorded"
                " at its time until the clock has reached it",
                seconds=round(ahead, 3),
                recorded_at=format_time(recorded_at),
            )
        return ahead


class LogTimes:
    """A clock that goes on from the newest time seen: late by the way here, never early."""

    def __init__(self) -> None:
        self._newest = float("-inf")
        self._offset = float("-inf")
        self._stepped_at = self._advanced_at = 0.0

    def saw(self, at: datetime) -> None:
        """Take note of a time that was written before now."""
        seconds = milliseconds(at) / 1000
        if seconds <= self._newest:
            return
        now = self._advanced_at = time.monotonic()
        if seconds - now > self._offset + WRONG_SECONDS:
            self._stepped_at = now
        self._newest, self._offset = seconds, max(self._offset, seconds - now)

    def age(self, at: datetime) -> float:
        """Return how many seconds ago a time was; 0 before any was seen."""
        return max(0.0, self._offset + time.monotonic() - milliseconds(at) / 1000)


class LogClock(LogTimes):
    """PostgreSQL's clock as the relay's watermarks tell it, for processes without an account there.

    Times of the present come as fast as time passes; those of a backlog come faster. Until the
    times are known to be of the present, the wall clock counts if it is later.
    """

    def __init__(self) -> None:
        super().__init__()
        self._comparison: Comparison | None = None

    def compare(self) -> None:
        """Compare the wall clock with it from now on, and log where they differ."""
        self._comparison = Comparison()

    def facts(self) -> dict[str, Any]:
        """Return what health says of the clocks: nothing where they agree."""
        return {} if self._comparison is None else self._comparison.facts()

    def saw(self, at: datetime) -> None:
        """Take note of a time of PostgreSQL's clock."""
        super().saw(at)
        if self._comparison is None:
            return
        ahead = time.time() - time.monotonic() - self._offset
        is_wrong = ahead < -WRONG_SECONDS or (self.is_sure and ahead > LATE_SECONDS)
        self._comparison.compare(ahead if is_wrong else 0.0)

    @property
    def is_sure(self) -> bool:
        """Whether the times that were seen are known to be of the present."""
        return self._advanced_at > self._stepped_at + WRONG_SECONDS

    @property
    def is_known(self) -> bool:
        """Whether it is sure, or the wall clock is close to it."""
        told = self._offset + time.monotonic()
        return self.is_sure or abs(time.time() - told) < MOST_LATE_SECONDS

    def seconds(self) -> float:
        """Return the time in seconds since 1970."""
        told = self._offset + time.monotonic()
        return told if self.is_sure else max(told, time.time())

    def is_future(self, at_ms: int) -> bool:
        """Tell whether a time is still to come, however late the times arrive here."""
        now, wall = self.seconds(), time.time()
        if now < wall:
            now = min(wall, now + MOST_LATE_SECONDS)
        return at_ms / 1000 > now + LATE_SECONDS


def to_milliseconds(seconds: float) -> datetime:
    """Return seconds since 1970 as a time that is cut off to milliseconds."""
    return _EPOCH + timedelta(milliseconds=int(seconds * 1000))
