"""A follower's side: hands commands to the leader, and gives each its response.

A silent leader gets no more commands. Those that wait for it and carry a key are then decided here,
which is safe: a key has one effect, whichever service decides. The outcome of a command without a
key is learnt when the leader responds again, or else it is OutcomeUnknown.
Next: command_service/pipeline.py
"""

import asyncio
import time
from contextlib import suppress

import structlog

from storelog.command_service.leading import messages
from storelog.command_service.leading.certificate import trusting
from storelog.command_service.leading.channel import Channel
from storelog.command_service.leading.lease import Post
from storelog.command_service.submission import Submission
from storelog.errors import OutcomeUnknown, StorelogError
from storelog.shop.value import value
from storelog.web.http import Response

CONNECT_SECONDS = 0.8
# Three beats: on a busy machine one or two may be late.
SILENT_SECONDS = 0.6
SWEEP_SECONDS = 0.2
MAX_UNREAD_BYTES = 8 * 1024 * 1024
_UNKNOWN = "The outcome is not known; repeat it with its key."
_log = structlog.get_logger()


class NotTaken(Exception):
    """The leader has not executed the command, or repeating it is harmless: decide it here."""


@value
class _Sent:
    """A command that waits for its response since `sent_at` (monotonic)."""

    response: asyncio.Future[Response]
    has_key: bool
    sent_at: float


class Link(Channel):
    """One connection to a leader, made by `connect`."""

    max_unread_bytes = MAX_UNREAD_BYTES

    def __init__(self, post: Post, deadline_seconds: float) -> None:
        super().__init__()
        self.post = post
        self._deadline = deadline_seconds
        self._sent: dict[int, _Sent] = {}
        self._number = 0
        self._is_taking = self._is_full = False
        self._heard_at = float("-inf")
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def takes(self) -> bool:
        """Whether the leader takes commands, as far as this service knows."""
        is_silent = time.monotonic() - self._heard_at > SILENT_SECONDS
        return self._is_taking and not is_silent and not self._is_full

    @property
    def is_open(self) -> bool:
        """Whether the connection is there."""
        return self._transport is not None

    async def forward(self, submission: Submission) -> Response:
        """Return the leader's response. Raises NotTaken, and what Pipeline.submit raises."""
        response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._number += 1
        number = self._number
        self.send(messages.forwarded(number, submission))
        self._sent[number] = _Sent(response, submission.key is not None, time.monotonic())
        try:
            return await response
        finally:
            self._sent.pop(number, None)
            self._close_if_done()

    def _close_if_done(self) -> None:
        """Leave a leader that stops once it has sent every response: it waits for that."""
        if not self._is_taking and not self._sent and self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.send(messages.Hello(self.post.secret))
        self._sweeping = asyncio.create_task(self._sweep())

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        try:
            for message in self._messages.feed(data):
                self._hear(messages.read_reply(message))
        except messages.BrokenMessage as error:
            _log.error("the leader sent an invalid message", error=str(error))
            self.abort()

    def _hear(self, heard: messages.Reply) -> None:
        # Number 0 is a beat, by which the leader also says that it stops leading.
        if heard.number == 0:
            self._is_taking = not heard.error
            self._close_if_done()
            return
        sent = self._sent.get(heard.number)
        if sent is None or sent.response.done():
            return
        if heard.error == messages.NOT_TAKEN:
            sent.response.set_exception(NotTaken())
            return
        try:
            sent.response.set_result(messages.response(heard))
        except StorelogError as error:
            sent.response.set_exception(error)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False

    async def _sweep(self) -> None:
        """Give up commands whose leader is silent, and those that are beyond their deadline."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            is_silent = now - self._heard_at > SILENT_SECONDS
            for sent in self._sent.values():
                if sent.has_key and is_silent:
                    _end(sent, NotTaken())
                elif now - sent.sent_at > self._deadline:
                    _end(sent, OutcomeUnknown(_UNKNOWN))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._is_taking = False
        if self._sweeping is not None:
            self._sweeping.cancel()
        for sent in self._sent.values():
            _end(sent, NotTaken() if sent.has_key else OutcomeUnknown(_UNKNOWN))


def _end(sent: _Sent, error: Exception) -> None:
    if not sent.response.done():
        sent.response.set_exception(error)


async def connect(post: Post, deadline_seconds: float) -> Link | None:
    """Return a connection to the leader at a post; None if it cannot be reached in time."""
    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            _, link = await loop.create_connection(
                lambda: Link(post, deadline_seconds),
                post.host,
                post.port,
                ssl=trusting(post.certificate),
                server_hostname="",
            )
            return link
    return None
