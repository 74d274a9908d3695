"""A transport that sends an answer's head and its body with one write instead of two.

uvicorn writes them apart, and each write is a system call of its own: on loopback that was half of
what an answer cost (measured by `make bench`). A head whose body does not follow at once, such as
an event stream's, goes out by itself in the same turn of the loop. Closing it ends the writing
alone: whoever owns it hears the client out.
Next: web/protocol.py
"""

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "


class CorkedTransport:
    """Holds back the head of an answer until the write that follows it; all else passes through."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        # Whether nothing more is written, while what the client still sends is read.
        self.has_ended = False
        self.is_closed = transport.is_closing
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Write, or hold back a head."""
        if self._held:
            held, self._held = self._held, b""
            self._pass(held + data)
        elif data.startswith(_HEAD):
            self._held = data
            self._loop.call_soon(self._uncork)
        else:
            self._pass(data)

    def _uncork(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._pass(held)

    def _pass(self, data: bytes) -> None:
        """Write to who is still there: a closed handle raises, and nobody would read it."""
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Tell whether nothing more can be written."""
        return self.has_ended or self.is_closed()

    def close(self) -> None:
        """Say that nothing more will be written, to who is still there."""
        self._uncork()
        if not self.is_closing():
            self.has_ended = True
            self._transport.write_eof()

    def close_now(self) -> None:
        """Close once everything is written: what the client sends after that is not read."""
        self._uncork()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
