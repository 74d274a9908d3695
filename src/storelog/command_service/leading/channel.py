"""One side of the connection between a follower and its leader: sends and receives messages.

Messages that are sent in one turn of the event loop are one write. The bytes that the other side
has not read yet have a limit, at which `pause_writing` decides what to do with the connection.
Next: command_service/leading/messages.py
"""

import asyncio
from typing import cast

from msgspec import Struct

from storelog.command_service.leading import messages


class Channel(asyncio.Protocol):
    """What both sides share; each defines itself how it handles a message."""

    max_unread_bytes: int

    def __init__(self) -> None:
        self._messages = messages.Unpacking()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's, though they have the same methods.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self.max_unread_bytes)

    def send(self, message: Struct) -> None:
        """Send a message, with all others of this turn of the event loop."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self.flush)
        self._unsent.append(messages.pack(message))

    def flush(self) -> None:
        """Write what is waiting to be sent, unless the connection has ended."""
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(unsent))

    def abort(self) -> None:
        """End the connection at once, without sending the rest."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
