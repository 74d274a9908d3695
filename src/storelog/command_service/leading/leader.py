"""The leader's side: takes the commands of the other services, and sends each its response.

Every connection is encrypted with the certificate in the lease, and begins with the lease's secret:
an account that can read the lease may append to the log anyway. Guarantees that the commands of a
connection have a limit, and that none gets its response before it is committed.
Next: command_service/leading/follower.py
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hmac import compare_digest

import structlog

from storelog.command_service.leading import messages
from storelog.command_service.leading.certificate import make_certificate
from storelog.command_service.leading.entrance import Entrance, Guest
from storelog.command_service.leading.lease import Post
from storelog.command_service.submission import Submission
from storelog.errors import Unavailable
from storelog.web.http import Response

MAX_FOLLOWERS = 64
# Of one follower: commands that wait for their response, and bytes that wait to be read by it.
MAX_COMMANDS = 4_000
MAX_UNREAD_BYTES = 16 * 1024 * 1024
BEAT_SECONDS = 0.2
STOP_SECONDS = 2.0
_log = structlog.get_logger()
Submit = Callable[[Submission], asyncio.Future[Response]]


class Leader:
    """One per Command Service; `submit` decides the commands that others hand on."""

    def __init__(self, submit: Submit) -> None:
        self.submit = submit
        self.secret = os.urandom(32)
        self.is_leading = False
        self._followers: set[_Follower] = set()
        self._are_gone = asyncio.Event()
        self._are_gone.set()
        self._certificate: tuple[str, ssl.SSLContext] | None = None
        self._entrance: Entrance | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether it could lead at once."""
        return self._certificate is not None

    async def prepare(self) -> tuple[str, ssl.SSLContext]:
        """Return the certificate, making it first if needed (a second). Raises NotMade."""
        if self._certificate is None:
            self._certificate = await make_certificate()
        return self._certificate

    async def open(self, host: str, port: int) -> Post:
        """Listen for followers, and return where. Raises OSError, and what `prepare` raises."""
        certificate, context = await self.prepare()
        self._entrance = Entrance(lambda: _Follower(self), context)
        bound = await self._entrance.open(host, port)
        self._beating = asyncio.create_task(self._beat())
        return Post(host, bound, certificate, self.secret, messages.FORM)

    def lead(self, is_leading: bool) -> None:
        """Begin to take commands, or stop taking them."""
        self.is_leading = is_leading
        for follower in self._followers:
            follower.beat()

    async def stop(self) -> None:
        """Take no more, and close once every follower has its responses and has gone."""
        self.lead(False)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._are_gone.wait()
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
        if self._entrance is not None:
            await self._entrance.close()
        for follower in list(self._followers):
            follower.close()

    def has_room(self) -> bool:
        """Whether one more follower may come."""
        return len(self._followers) < MAX_FOLLOWERS

    def came(self, follower: "_Follower") -> None:
        """Take note of a follower that sent the secret."""
        self._followers.add(follower)
        self._are_gone.clear()

    def went(self, follower: "_Follower") -> None:
        """Take note that it has gone."""
        self._followers.discard(follower)
        if not self._followers:
            self._are_gone.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            for follower in self._followers:
                follower.beat()


class _Follower(Guest):
    """One connection of a follower."""

    max_unread_bytes = MAX_UNREAD_BYTES

    def __init__(self, leader: Leader) -> None:
        super().__init__()
        self._leader = leader
        self._is_known = False
        self.running: set[asyncio.Future[Response]] = set()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._messages.feed(data):
                if self._is_known:
                    self._take(*messages.read_forwarded(message))
                elif not self._greet(messages.read_hello(message)):
                    self.abort()
                    return
        except messages.BrokenMessage as error:
            _log.warning("a follower sent an invalid message", error=str(error))
            self.abort()

    def _greet(self, hello: messages.Hello) -> bool:
        # In constant time, so that the secret cannot be guessed byte by byte.
        is_right = compare_digest(hello.secret, self._leader.secret)
        self._is_known = is_right and self._leader.has_room()
        if self._is_known:
            self._leader.came(self)
            self.beat()
        self.tell(self._is_known)
        return self._is_known

    def _take(self, number: int, submission: Submission) -> None:
        if not self._leader.is_leading:
            self.send(messages.Reply(number, error=messages.NOT_TAKEN))
            return
        if len(self.running) >= MAX_COMMANDS:
            full = Unavailable("Too many commands are waiting.", slug="overloaded")
            self.send(messages.reply(number, full))
            return
        try:
            response = self._leader.submit(submission)
        except Unavailable as error:
            self.send(messages.reply(number, error))
            return
        self.running.add(response)
        response.add_done_callback(partial(self._ended, number))

    def _ended(self, number: int, response: asyncio.Future[Response]) -> None:
        self.running.discard(response)
        if response.cancelled():
            return
        error = response.exception()
        self.send(messages.reply(number, response.result() if error is None else error))

    def beat(self) -> None:
        """Tell the follower that the leader is alive, and whether it takes commands."""
        self.send(messages.BEAT if self._leader.is_leading else messages.LAST_BEAT)

    def pause_writing(self) -> None:
        """Drop a follower that does not read its responses; it finds them in the log by key."""
        self.abort()

    def close(self) -> None:
        """Close once what was written is sent."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._leader.went(self)
