"""What a Command Service has seen of the log: a log that lacks it takes no commands."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from storelog.command_service.given import Given, LogBehind
from storelog.command_service.state import Head
from storelog.seen_marks import SeenMark

OWN = "1e6f3a52-5f6e-4a06-8ad3-0a8b2c7d9e10"
NEXT = "2e6f3a52-5f6e-4a06-8ad3-0a8b2c7d9e10"
ANOTHERS = "3e6f3a52-5f6e-4a06-8ad3-0a8b2c7d9e10"


def hash_of(position: int) -> bytes:
    return bytes([position]) * 32


class Log:
    """Stands for a connection to PostgreSQL; `meanwhile` is called while the head is being read."""

    def __init__(self, position: int, *histories: tuple[str, int, int]) -> None:
        self.position = position
        self.histories = histories or ((OWN, 0, 1),)
        self.meanwhile: Callable[[], None] = lambda: None

    async def fetchrow(self, _query: str) -> dict[str, Any]:
        position = self.position
        self.meanwhile()
        row = {"position": position, "hash": hash_of(position), "ahead": None}
        return {**row, "history": self.histories[-1][0]}

    async def fetch(self, _query: str) -> list[tuple[str, int, int]]:
        return list(self.histories)

    async def fetchval(self, _query: str, position: int) -> bytes | None:
        return hash_of(position) if position <= self.position else None


def check(given: Given, log: Log) -> None:
    asyncio.run(given.check(log))


def started(*seen: SeenMark) -> Given:
    given = Given()
    given.expect(seen)
    return given


def seen(position: int, history: str | None = OWN, kept: int | None = None) -> SeenMark:
    return SeenMark(position, hash_of(kept or position).hex(), history)


def test_a_service_that_was_started_takes_no_commands_on_a_log_that_lacks_what_kafka_has() -> None:
    with pytest.raises(LogBehind, match="lacks the event 12"):
        check(started(seen(12)), Log(10))
    # Another event has its position by now.
    with pytest.raises(LogBehind, match="lacks the event 9"):
        check(started(seen(9, kept=99)), Log(9))
    check(started(seen(10)), Log(10))


def test_what_kafka_has_of_another_log_or_of_a_history_that_was_left_counts_for_nothing() -> None:
    check(started(seen(12, ANOTHERS), seen(12, None)), Log(10))
    recovered = Log(10, (OWN, 0, 1), (NEXT, 8, 2))
    check(started(seen(12, OWN)), recovered)
    with pytest.raises(LogBehind):
        check(started(seen(12, NEXT)), recovered)


def test_a_log_that_was_longer_when_it_was_looked_at_lacks_events_until_its_next_history() -> None:
    given = Given()
    check(given, Log(12))
    with pytest.raises(LogBehind, match="lacks the event 12"):
        check(given, Log(10))
    check(given, Log(10, (OWN, 0, 1), (NEXT, 10, 2)))


def test_what_is_written_while_the_head_is_being_read_is_not_missing_from_it() -> None:
    given, log = Given(), Log(10)
    check(given, log)
    log.meanwhile = lambda: given.gave(Head(12, hash_of(12), history=OWN))
    asyncio.run(given.check_head(log))
