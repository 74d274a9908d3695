"""Commands that wait for their responses, and those of them that share a batch.

Next: command_service/decider.py
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from storelog.command_service.batch import DecidedBatch
from storelog.command_service.remembered import CallerKey, Remembered
from storelog.command_service.sizes import Size
from storelog.command_service.submission import Submission
from storelog.errors import Unavailable
from storelog.web.http import Response

MAX_BATCH_COMMANDS = 256
MAX_BATCH_LINES = 2_000
MAX_BATCH_BYTES = 2 * 1024 * 1024
# An estimate of what an event has beside its payload, and of its row in a state table.
EVENT_BYTES = 300


@dataclass(eq=False, slots=True)
class Waiting:
    """One command, the future of its response, its size, and when it came.

    `queued_at` is on the pulse's clock, `came_at` on the monotonic one; both in seconds.
    """

    submission: Submission
    response: asyncio.Future[Response]
    size: Size
    queued_at: float
    came_at: float


@dataclass(slots=True)
class Taken:
    """Commands that share a batch, with their responses once they are decided.

    `since` is when the first of them came, or for a large one when it was taken (the pulse's
    clock); `began` is when it was taken, `written_at` when its writing began (monotonic).
    """

    waiting: list[Waiting] = field(default_factory=list)
    lines: int = 0
    bytes: int = 0
    since: float = 0.0
    began: float = 0.0
    written_at: float = 0.0
    counted: int = 0
    counted_events: int = 0
    counted_responses: int = 0
    batch: DecidedBatch | None = None
    responses: list[Response] = field(default_factory=list)
    is_closed: bool = False

    def has_room_for(self, waiting: Waiting) -> bool:
        """Whether one more fits: in commands, lines and bytes; a large one is alone."""
        if not self.waiting:
            return True
        size = waiting.size
        return not self.is_closed and (
            len(self.waiting) < MAX_BATCH_COMMANDS
            and self.lines + size.lines <= MAX_BATCH_LINES
            and self.bytes + size.bytes <= MAX_BATCH_BYTES
        )

    def add(self, waiting: Waiting) -> None:
        """Take one more; none after a large one."""
        self.waiting.append(waiting)
        self.lines += waiting.size.lines
        self.bytes += waiting.size.bytes
        self.is_closed = waiting.size.is_large

    @property
    def is_large(self) -> bool:
        """Whether it is one large command."""
        return bool(self.waiting) and self.waiting[0].size.is_large

    def count_bytes(self) -> None:
        """Count the bytes that were decided, in place of the upper bound that held until now."""
        if self.batch is None:
            return
        events = self.batch.writes.events
        # Only what is new since the last count: commands may be added after each.
        decided = events[self.counted_events :], self.responses[self.counted_responses :]
        self.counted_events, self.counted_responses = len(events), len(self.responses)
        self.counted += sum([EVENT_BYTES + len(event.payload) for event in decided[0]])
        self.counted += sum([len(response.body) for response in decided[1]])
        self.bytes = self.counted

    def leave_undecided(self) -> None:
        """Take no more: one command cannot be decided, and landing them in parts finds which."""
        self.batch, self.responses, self.is_closed = None, [], True

    def remembered(self) -> dict[CallerKey, Remembered]:
        """Return the responses, by key, that this batch is about to store."""
        if self.batch is None:
            return {}
        return {key: first for key, (first, _) in self.batch.writes.remembered.items()}


def fail(batch: Iterable[Waiting], error: Unavailable) -> None:
    """Give the error to every command that has no response yet."""
    for waiting in batch:
        if not waiting.response.done():
            waiting.response.set_exception(error)
