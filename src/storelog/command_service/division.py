"""Lands a batch that failed in smaller parts, until the command that is the cause is alone.

Guarantees that a command fails alone: it gets 500 `internal-error`, changed nothing, and its key is
not remembered; every other command of its batch gets its own response, in the order of arrival.
Where parts fail alike for a reason of the server, all that is left gets 503 with that reason.
Decision 40.
Next: command_service/landing.py
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from storelog.command_service import failures, measures
from storelog.command_service.failures import BatchFailed
from storelog.command_service.submission import Submission
from storelog.command_service.taken import Waiting, fail
from storelog.errors import CommandFailed, OutcomeUnknown, Unavailable
from storelog.web.http import Response
from storelog.web.problems import render

# One culprit in n commands costs log8(n) failures, and seven commits for each of them.
PARTS = 8
# After so many parts in a row that failed for a reason of the server, the others would fail too.
# Where the commands may be the reason, all parts must have failed.
ALIKE = 2
# How long one part's statement may take; a single command has as long as an ordinary batch.
PART_SECONDS, ALONE_SECONDS = 1.0, 3.0
Land = Callable[[list[Submission], float, float], Awaitable[list[Response]]]
Part = Sequence[Waiting]
_log = structlog.get_logger()


async def land_in_parts(land: Land, batch: Part, give_up_at: float) -> None:
    """Give each command of a batch that failed its response.

    `land` writes some commands, with `give_up_at` and the seconds that a statement may take; raises
    BatchFailed or Unavailable. What is left after `give_up_at` (monotonic) gets 503, not tried.
    """
    measures.DIVISIONS.add()
    left = deque(_split(batch))
    alike, has_landed = 0, False
    while left:
        part = left.popleft()
        seconds = min(ALONE_SECONDS if len(part) == 1 else PART_SECONDS, _left(give_up_at))
        if seconds <= 0:
            detail = "Another command used up the time; nothing was done."
            _fail([part, *left], Unavailable(detail, slug="overloaded"))
            return
        began_ns = time.time_ns()
        try:
            responses = await land([waiting.submission for waiting in part], give_up_at, seconds)
        except BatchFailed as failure:
            reason = failures.server_reason(failure.cause)
            alike = 0 if reason is None else alike + 1
            may_be_own = failures.may_be_own(failure.cause)
            if reason is not None and alike >= (PARTS if may_be_own else ALIKE):
                _reject_all([part, *left], reason, failure.cause)
                return
            if len(part) > 1:
                _put_back(left, part, failure.cause)
            elif reason is not None and not (has_landed and may_be_own):
                _reject_all([part], reason, failure.cause)
            else:
                _fail_alone(part[0], failure.cause)
        except Unavailable as error:
            _fail([part], error)
            # Nothing of the rest was sent: its outcome is known, even if that of this part is not.
            is_sent = isinstance(error, OutcomeUnknown)
            _fail(left, Unavailable("PostgreSQL is away.") if is_sent else error)
            return
        else:
            # The server takes commands: many more must fail alike before it is to blame.
            alike, has_landed = -PARTS, True
            settle(part, responses, began_ns)


def settle(part: Part, responses: list[Response], began_ns: int) -> None:
    """Give commands that have landed their responses."""
    measures.count_commands([waiting.submission for waiting in part], responses, began_ns)
    for waiting, response in zip(part, responses, strict=True):
        if not waiting.response.done():
            waiting.response.set_result(response)


def reject(part: Part, error: Unavailable) -> None:
    """Give commands that have not landed an error."""
    measures.count_commands([waiting.submission for waiting in part], None)
    fail(part, error)


def _left(give_up_at: float) -> float:
    return give_up_at - time.monotonic()


def _split(part: Part) -> list[Part]:
    size = max(1, -(-len(part) // PARTS))
    return [part[at : at + size] for at in range(0, len(part), size)]


def _put_back(left: deque[Part], part: Part, cause: Exception) -> None:
    """Put back a part in smaller ones: at the front, or last where the server may be the cause."""
    # If the next parts fail alike, the server is the cause, and these need not be tried.
    if failures.is_timeout(cause) or failures.server_reason(cause) is not None:
        left.extend(_split(part))
    else:
        left.extendleft(reversed(_split(part)))


def _reject_all(parts: Sequence[Part] | deque[Part], reason: str, cause: Exception) -> None:
    who = measures.who([waiting.submission for part in parts for waiting in part])
    _log.error("PostgreSQL rejects commands", reason=reason, error=str(cause), **who)
    measures.SERVER_ERRORS.of().add()
    _fail(parts, Unavailable(reason))


def _fail(parts: Sequence[Part] | deque[Part], error: Unavailable) -> None:
    for part in parts:
        reject(part, error)


def _fail_alone(culprit: Waiting, cause: Exception) -> None:
    submission = culprit.submission
    command = type(submission.command).__name__
    _log.error(
        "a command failed",
        exc_info=cause,
        command=command,
        correlation_id=submission.correlation_id,
        is_always=True,
    )
    measures.SERVER_ERRORS.of().add()
    measures.FAILED_ALONE.of(command).add()
    measures.count_commands([submission], None)
    problem = render(
        CommandFailed(failures.own_detail(cause)), submission.instance, submission.correlation_id
    )
    if not culprit.response.done():
        culprit.response.set_result(problem)
