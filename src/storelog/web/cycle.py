"""One request and its response: a response whose length is known goes out in one write.

uvicorn writes head and body separately, and each write is a system call: on loopback that was half
of a response's cost (measured by `make bench`). Guarantees that no header can end the head. A
stream's head and pieces are sent at once, each by itself.
Next: web/framing.py
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


class Cycle(RequestResponseCycle):
    """Holds back the head of a response until its body follows."""

    _head: Any = None

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start" and _is_of_known_length(message):
            self._head = message
            return
        head, self._head = self._head, None
        if head is None:
            await super().send(message)
        elif message.get("more_body"):
            await super().send(head)
            await super().send(message)
        else:
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            if not self.disconnected:
                self._respond(head["status"], head["headers"], message.get("body", b""))

    def _respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Write a whole response. Raises RuntimeError if it is malformed."""
        fields = [*self.default_headers, *headers]
        given = dict(headers)
        if b"close" in given.get(b"connection", b"").lower():
            self.keep_alive = False
        elif not self.keep_alive:
            fields.append((b"connection", b"close"))
        head = STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % field for field in fields]) + b"\r\n"
        # A value with a line break could forge a header, or a second response.
        lines = len(fields) + 2
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise RuntimeError("A header has a line break.")
        if self.scope["method"] != "HEAD" and len(body) != int(given.get(b"content-length", b"0")):
            raise RuntimeError("The body is not as long as Content-Length says.")
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(head if self.scope["method"] == "HEAD" else head + body)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class OldCycle(Cycle):
    """A response to HTTP/1.0, which has no chunks: without a length it ends with its connection.

    RFC 9112, section 6.1.
    """

    is_of_known_length = True

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.is_of_known_length = _is_of_known_length(message)
            if not self.is_of_known_length:
                self.chunked_encoding = False
        elif not self.is_of_known_length:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


def _is_of_known_length(head: Any) -> bool:
    names = [name for name, _ in head.get("headers", ())]
    return b"content-length" in names or head["status"] in (204, 304)
