"""Finds where a request ends on its connection: uvicorn's httptools protocol, without upgrades.

Guarantees that an `Upgrade` is ignored, whatever it offers (RFC 9110, section 7.8): the request is
served as HTTP/1.1 with its body, and no byte of a body becomes a request. Rejects, and so closes,
where the end of a request is not known for certain (RFC 9112, section 6.3).
Next: web/turns.py
"""

import re
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from storelog.errors import Malformed, ProtocolRefusal, StorelogError
from storelog.web.cycle import Cycle, OldCycle

SMALL_BODY_BYTES = 16_384
_INVALID = "This is not a request of HTTP/1.1."


class Rejected(Exception):
    """Stops the parser; the protocol's `rejection` is the error to respond with."""


class FramedProtocol(HttpToolsProtocol):
    """A connection on which each request ends where its own head says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A strict parser: uvicorn's own would read on after the last request of a connection.
        self.parser = httptools.HttpRequestParser(self)
        self.rejection: StorelogError | None = None
        self._head_again = b""

    def reject(self, error: StorelogError) -> None:
        """Stop the parser in one of its callbacks; the connection responds with the error."""
        self.rejection = error
        raise Rejected

    def data_received(self, data: bytes) -> None:
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response(_INVALID)

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                # The parser skips the body of a request that offers another protocol: a new one
                # reads the same head without the offer, and then what follows the head.
                data = self._head_again + data[stopped.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            else:
                return

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser leaves blanks after a value, which are no part of it: RFC 9112, section 5.1.
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if self.parser.should_upgrade():
            method = self.parser.get_method()
            if method == b"CONNECT":
                detail = "This is no proxy: CONNECT is not allowed."
                self.reject(ProtocolRefusal(405, "method-not-allowed", detail, [("Allow", "")]))
            self._head_again = self._without_offer(method, version)
            return
        if version not in ("1.1", "1.0"):
            self.reject(Malformed(f"HTTP/{version} is not served, HTTP/1.1 is."))
        if version == "1.0":
            # No client of HTTP/1.0 understands a 100: RFC 9110, section 10.1.1.
            self.expect_100_continue = False
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (
            version != "1.1" or len(codings) > 1 or codings[0].strip().lower() != b"chunked"
        ):
            self.reject(Malformed("The only Transfer-Encoding is chunked, in HTTP/1.1."))
        if not self.url.startswith(b"/"):
            self._take_host_of_target(version)
        super().on_headers_complete()
        self.cycle.__class__ = OldCycle if version == "1.0" else Cycle
        # Fields after this are trailers of the body, and are ignored.
        self.headers = []

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()
            if len(self.cycle.body) <= SMALL_BODY_BYTES:
                # A handler that has not received it yet finds it here and need not wait.
                self.scope["state"]["body"] = bytes(self.cycle.body)

    def _take_host_of_target(self, version: str) -> None:
        """Put the host of a target such as http://shop/orders in the place of the Host field's.

        RFC 9112, section 3.2.2. A field that is missing or came twice stays an error.
        """
        _, is_absolute, rest = self.url.partition(b"://")
        given = sum(name == b"host" for name, _ in self.headers)
        if is_absolute and (given == 1 or (given == 0 and version == "1.0")):
            host = re.split(rb"[/?#]", rest, maxsplit=1)[0]
            others = [field for field in self.headers if field[0] != b"host"]
            self.headers[:] = [(b"host", host), *others]
            # Without a path the target is the root.
            path = rest.removeprefix(host)
            self.url = path if path.startswith(b"/") else b"/" + path

    def _without_offer(self, method: bytes, version: str) -> bytes:
        lines = [b"%s %s HTTP/%s" % (method, self.url, version.encode())]
        lines += [b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])
