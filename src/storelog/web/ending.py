"""A transport whose writing ends before its reading does.

Closing it ends only the writing: its owner reads on until the client has sent everything.
Next: web/protocol.py
"""

import asyncio
from typing import Any


class EndingTransport:
    """Passes everything on except writes after the end, and the close."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # Whether nothing more is written, while what the client still sends is read.
        self.has_ended = False
        self.is_closed = transport.is_closing
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Write, unless the connection has ended: a closed handle would raise."""
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Tell whether nothing more can be written."""
        return self.has_ended or self.is_closed()

    def close(self) -> None:
        """End the writing, unless the connection has ended."""
        if not self.is_closing():
            self.has_ended = True
            self._transport.write_eof()

    def close_now(self) -> None:
        """Close once everything is written: what the client sends after that is not read."""
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
