"""Where followers come in: accepts connections, and hears each out until it has said the secret.

Guarantees that a connection has a second for that, and that at most MAX_STRANGERS at once have not
said it: of more the oldest is ended, so that a crowd keeps no follower out.
Next: command_service/leading/leader.py
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import structlog

from storelog.command_service.leading.channel import Channel

MAX_STRANGERS = 64
HELLO_SECONDS = 1.0
# Without a free descriptor nothing can be accepted for a while.
ACCEPT_AGAIN_SECONDS = 0.2
_log = structlog.get_logger()


class Guest(Channel):
    """A connection that came in; `heard` is done once it has said the secret, or has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def tell(self, is_known: bool) -> None:
        """Say once whether the secret was right."""
        if not self.heard.done():
            self.heard.set_result(is_known)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.tell(False)


class Entrance:
    """One per leader; `make_guest` makes the protocol of one connection."""

    def __init__(self, make_guest: Callable[[], Guest], context: ssl.SSLContext) -> None:
        self._make_guest, self._context = make_guest, context
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        # The oldest is first.
        self._strangers: dict[asyncio.Task[None], bool] = {}

    async def open(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        self._socket = socket.create_server(address, family=family, backlog=MAX_STRANGERS)
        self._socket.setblocking(False)
        self._accepting = loop.create_task(self._accept_on(self._socket))
        bound: int = self._socket.getsockname()[1]
        return bound

    async def close(self) -> None:
        """Let nobody in any more, and end who has not said the secret."""
        ending = [*self._strangers, *([self._accepting] if self._accepting else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept_on(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                _log.warning("a follower cannot be let in", error=str(error))
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            if len(self._strangers) >= MAX_STRANGERS:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                oldest.cancel()
            stranger = loop.create_task(self._hear(connection))
            self._strangers[stranger] = True
            stranger.add_done_callback(lambda task: self._strangers.pop(task, None))

    async def _hear(self, connection: socket.socket) -> None:
        """Give a connection its second; end the one that has not said the secret by then."""
        guest, is_known = self._make_guest(), False
        loop = asyncio.get_running_loop()
        try:
            # Whoever speaks no TLS, or says nothing, is nobody: no word about it in the log.
            with suppress(OSError):
                async with asyncio.timeout(HELLO_SECONDS):
                    await loop.connect_accepted_socket(lambda: guest, connection, ssl=self._context)
                    is_known = await guest.heard
        finally:
            if not is_known:
                guest.abort()
                connection.close()
