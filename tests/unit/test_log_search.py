"""How much of the log is read for a page of events."""

import asyncio
from typing import Any

import pytest

from storelog.command_service.log_search import Wanted, search_down, search_up


class Counted:
    """A connection to a log in which nothing is found; it counts the statements."""

    statements = 0

    async def fetch(self, _statement: str, *_arguments: object) -> list[Any]:
        self.statements += 1
        return []

    async def fetchval(self, _statement: str, *_arguments: object) -> int:
        self.statements += 1
        return 7


@pytest.mark.parametrize(
    ("wanted", "statements"),
    [(Wanted(aggregate=("product", 5)), 2), (Wanted(caller="till"), 50)],
)
def test_the_newest_events_of_one_aggregate_are_found_by_its_index_in_a_log_of_any_length(
    wanted: Wanted, statements: int
) -> None:
    log: Any = Counted()
    assert asyncio.run(search_down(log, wanted, 0, 100_000, 50)) == ([], None)
    assert log.statements == statements


def test_forwards_a_log_is_searched_in_windows_up_to_its_head() -> None:
    log: Any = Counted()
    assert asyncio.run(search_up(log, Wanted(caller="till"), 0, 4_001, 50)) == ([], None)
    assert log.statements == 3
