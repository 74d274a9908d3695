"""One side of the connection of a follower with its leader: cuts what comes into messages, sends.

What is sent in one turn of the event loop is one write. How much may wait to be read by the other
side has a limit: at it, `pause_writing` says what becomes of the connection.
Next: command_service/leading/messages.py
"""

import asyncio
from typing import cast

from msgspec import Struct

from storelog.command_service.leading import messages


class Channel(asyncio.Protocol):
    """What both sides do alike; each says itself what it does with a message."""

    max_unread_bytes: int

    def __init__(self) -> None:
        self._messages = messages.Unpacking()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, though they act as one.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self.max_unread_bytes)

    def send(self, message: Struct) -> None:
        """Send a message, with all others of this turn of the event loop."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self.flush)
        self._unsent.append(messages.pack(message))

    def flush(self) -> None:
        """Write now what was to be sent; nothing to a connection that has ended."""
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(unsent))

    def abort(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
