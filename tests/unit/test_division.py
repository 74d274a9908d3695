"""A batch that failed is landed in parts, until it is known whose fault it is."""

import asyncio
from collections import Counter

import asyncpg
import pytest

from storelog.command_service.division import land_in_parts
from storelog.command_service.failures import BatchFailed
from storelog.command_service.sizes import size_of_lines
from storelog.command_service.submission import Submission
from storelog.command_service.taken import Waiting
from storelog.errors import Unavailable
from storelog.shop.customer import CreateCustomer, NewCustomer
from storelog.web.http import Response

CULPRIT = "culprit"
MISSING = asyncpg.UndefinedFunctionError("there is no such function")
READ_ONLY = asyncpg.ReadOnlySQLTransactionError("read-only")


async def outcomes(number: int, culprits: set[int], error: Exception) -> list[int]:
    """Return the status of each command of a batch in which some are rejected with an error."""
    loop = asyncio.get_running_loop()
    batch = []
    for place in range(number):
        caller = CULPRIT if place in culprits else "ann"
        command = CreateCustomer(0, NewCustomer("Ann", "a@b"))
        submission = Submission(command, caller, "c", "/customers")
        batch.append(Waiting(submission, loop.create_future(), size_of_lines(1), 0.0, 0.0))

    async def land(submissions: list[Submission], _until: float, _seconds: float) -> list[Response]:
        if any(each.caller == CULPRIT for each in submissions):
            raise BatchFailed(error)
        return [Response(201, b"{}") for _ in submissions]

    await land_in_parts(land, batch, loop.time() + 60)
    answers = await asyncio.gather(*(each.response for each in batch), return_exceptions=True)
    return [503 if isinstance(a, Unavailable) else a.status for a in answers]  # type: ignore[union-attr]


@pytest.mark.parametrize("culprits", [{0}, {5}, {63}, {5, 6, 40}, {0, 8, 16, 17}])
def test_what_one_command_lacks_of_the_schema_is_its_own_fault_where_others_land(
    culprits: set[int],
) -> None:
    statuses = asyncio.run(outcomes(64, culprits, MISSING))
    assert {place for place, status in enumerate(statuses) if status == 500} == culprits
    assert Counter(statuses) == {201: 64 - len(culprits), 500: len(culprits)}


@pytest.mark.parametrize("error", [MISSING, READ_ONLY])
@pytest.mark.parametrize("number", [1, 3, 11, 64])
def test_an_error_that_every_command_gets_is_the_servers_fault(
    number: int, error: Exception
) -> None:
    assert asyncio.run(outcomes(number, set(range(number)), error)) == [503] * number
