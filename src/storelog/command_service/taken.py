"""Commands that wait for their answers, and those of them that share a batch.

Next: command_service/decider.py
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from storelog.command_service.batch import Batch, Key, Remembered
from storelog.command_service.submission import Command, Submission
from storelog.domain.order import PlaceOrder
from storelog.errors import Unavailable
from storelog.web.http import Response

MAX_BATCH_COMMANDS = 256
MAX_BATCH_LINES = 4_000


@dataclass(eq=False, slots=True)
class Waiting:
    """One command, the future of its answer, and when it came.

    `queued_at` is of the pulse's clock, `came_at` of the monotonic one; both in seconds.
    """

    submission: Submission
    answer: asyncio.Future[Response]
    queued_at: float
    came_at: float


@dataclass(slots=True)
class Taken:
    """Commands that share a batch, with their answers where they are decided already."""

    waiting: list[Waiting] = field(default_factory=list)
    lines: int = 0
    batch: Batch | None = None
    answers: list[Response] = field(default_factory=list)
    is_closed: bool = False

    def has_room_for(self, waiting: Waiting) -> bool:
        """Whether one more fits: a batch has limits in commands and in lines, but takes any one."""
        if self.is_closed:
            return False
        lines = self.lines + _size(waiting.submission.command)
        return not self.waiting or (
            len(self.waiting) < MAX_BATCH_COMMANDS and lines <= MAX_BATCH_LINES
        )

    def add(self, waiting: Waiting) -> None:
        """Take one more."""
        self.waiting.append(waiting)
        self.lines += _size(waiting.submission.command)

    def leave_undecided(self) -> None:
        """Take no more: one of them cannot be decided, and which shows when they are landed."""
        self.batch, self.answers, self.is_closed = None, [], True

    def remembered(self) -> dict[Key, Remembered]:
        """Return the answers to keys that this batch is going to have written."""
        if self.batch is None:
            return {}
        return {key: first for key, (first, _) in self.batch.writes.answers.items()}


def fail(batch: Iterable[Waiting], error: Unavailable) -> None:
    """Answer every command that has no answer yet with the error."""
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


def _size(command: Command) -> int:
    return len(command.lines) if isinstance(command, PlaceOrder) else 1
