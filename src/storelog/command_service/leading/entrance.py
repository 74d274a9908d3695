"""Accepts the connections of followers, and admits those that send the lease's secret.

Guarantees that a connection has one second to send it, and that at most MAX_STRANGERS at once have
not sent it: beyond that the oldest is ended, so that a crowd cannot keep followers out.
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
# Without a free file descriptor `accept` fails at once: retrying without a pause would spin.
ACCEPT_AGAIN_SECONDS = 0.2
_log = structlog.get_logger()


class Guest(Channel):
    """An accepted connection; `heard` is done once it has sent the secret, or has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def tell(self, is_known: bool) -> None:
        """Record, once, whether the secret was right."""
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
        # A dict, since it keeps the order of arrival: the oldest is first.
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
        """Accept no more connections, and end those that have not sent the secret."""
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
        """Give a connection one second; end it if it has not sent the secret by then."""
        guest, is_known = self._make_guest(), False
        loop = asyncio.get_running_loop()
        try:
            # Scanners and health checks speak no TLS or say nothing: they must not fill the log.
            with suppress(OSError):
                async with asyncio.timeout(HELLO_SECONDS):
                    await loop.connect_accepted_socket(lambda: guest, connection, ssl=self._context)
                    is_known = await guest.heard
        finally:
            if not is_known:
                guest.abort()
                connection.close()
