"""The rates on the console's page of operations: known ones are right, and others are not shown."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from storelog.console.rates import Rate, rates
from storelog.errors import InvalidFields, NotCaughtUp

UNKNOWN = [Rate(window, None, None) for window in ("minute", "hour", "day")]


class Query:
    """Reads as of a time: each has this position, or raises this error."""

    def __init__(self, found: int | Exception) -> None:
        self.found = found

    async def get(self, *_: Any) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return SimpleNamespace(position=self.found)


def rates_of(found: int | Exception, position: int = 7_200) -> list[Rate]:
    query: Any = Query(found)
    page: Any = None
    return asyncio.run(rates(query, page, position))


def test_a_rate_counts_the_events_since_then_or_all_of_a_younger_log() -> None:
    assert rates_of(3_600)[1] == Rate("hour", 3_600, 1.0)
    before = InvalidFields([("?asOf", "is before the first event was recorded")])
    assert rates_of(before)[1] == Rate("hour", 7_200, 2.0)


@pytest.mark.parametrize(
    "found",
    [
        NotCaughtUp(9, 7),
        # A clock here that is ahead, and a read model that was behind.
        InvalidFields([("?asOf", "is in the future")]),
        7_201,
    ],
)
def test_a_rate_that_cannot_be_told_is_not_shown(found: int | Exception) -> None:
    assert rates_of(found) == UNKNOWN
