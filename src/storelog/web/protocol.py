"""One HTTP connection, with a limit on everything that its client can hold.

uvicorn itself has no time-out for reading or writing and no limit on a request's head. Here a head
has a deadline, a size and a number of fields; input that never becomes a request gets a problem
document too; and a response that its client does not read ends the connection. After its last
response a connection lingers (RFC 9112, section 9.6): closing it with unread input would take the
response away from the client, so what the client still sends is read and dropped.
Next: web/framing.py
"""

import asyncio
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from storelog.errors import Malformed, ProtocolRefusal, StorelogError
from storelog.web import request_metrics
from storelog.web.connections import Connections
from storelog.web.ending import EndingTransport
from storelog.web.framing import FramedProtocol
from storelog.web.problems import render
from storelog.web.turns import Turns

HEAD_DEADLINE_SECONDS = 10.0
MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 100
MAX_PIPELINED = 16
# A client that reads less than this of its response in this time is cut off.
WRITE_DEADLINE_SECONDS = 20.0
MIN_READ_BYTES = 16_384
# How long a client may go on sending a request that has its response already.
REST_SECONDS = 20.0
# What may follow a head: the body, with the frames of its chunks and its trailers.
MAX_REST_BYTES = 16 * 1_048_576
# How long a lingering client may send nothing; in all it has REST_SECONDS and MAX_REST_BYTES.
LINGER_SECONDS = 2.0


class LimitedProtocol(FramedProtocol):
    """A connection that is rejected, or closed, once it holds more than its share."""

    limits: Connections
    turns: Turns
    transport: EndingTransport  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_since: float | None = None
        self._head_bytes = 0
        self._chunk_bytes = 0
        self._lingers_since: float | None = None
        self._heard_at = 0.0
        self._is_stopping = False
        self._responded_at: float | None = None
        self._rest_bytes = 0
        self._unread = 0
        self._unread_since = 0.0
        self._has_drained = False
        self._unbegun = b""
        # The request that is being worked on; `cycle` is the last one that came.
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        ending: Any = EndingTransport(transport)
        super().connection_made(ending)
        self._head_since = self._unread_since = self.loop.time()
        rejection = self.limits.enter(self, self.client)
        if rejection is not None:
            self._respond(rejection)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Let go of everything, so that counting references frees it at once.

        A cycle of references would wait for a full collection, and a timer for its time.
        """
        self.limits.leave(self, self.client)
        # A connection that was reset is treated like one that was closed.
        super().connection_lost(None)
        self._disconnect(self._running)
        self._running = None
        self.pipeline.clear()
        self._unbegun = b""
        self.cycle = self.scope = self.headers = None  # type: ignore[assignment]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _disconnect(self, cycle: RequestResponseCycle | None) -> None:
        """Tell the handler of a request that its client has gone."""
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.scope["state"].pop("body", None)
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._unbegun or not self.turns.may_begin(self.loop):
            self._put_off(data)
        else:
            self._begin(data)

    def _put_off(self, data: bytes) -> None:
        """Keep the input for a later turn of the loop, and pause reading until then."""
        if not self._unbegun:
            self.turns.wait(self._begin_late)
        self._unbegun += data
        self.transport.pause_reading()

    def _begin_late(self) -> None:
        data, self._unbegun = self._unbegun, b""
        if not data or self.transport.is_closed():
            return
        try:
            self._begin(data)
        except BaseException:
            # As the event loop does if reading from a connection fails.
            self.transport.abort()
            raise
        if not self.flow.read_paused and not self.transport.is_closed():
            self.transport.resume_reading()

    def _begin(self, data: bytes) -> None:
        if not self.transport.has_ended:
            self._chunk_bytes = len(data)
            super().data_received(data)
        if self._head_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._reject_input(_too_large())
        else:
            self._heard_at = self.loop.time()
            self._rest_bytes += len(data)
            if self._rest_bytes > MAX_REST_BYTES:
                self.transport.abort()

    def shutdown(self) -> None:
        # A stream does not end by itself: every stream of the process waits for this.
        self.app_state["stopping"].set()
        self._is_stopping = True
        # Requests that were read get their responses.
        self._begin_late()
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and not self.transport.has_ended:
            # An idle connection is closed at once: clients may keep one open for hours.
            self.transport.close_now()
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["cut_off"] = self.transport.abort
        self._head_since = self.loop.time()
        self._responded_at = None

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_HEADERS or self._is_head_too_large():
            self.reject(_too_large())
        if len(self.pipeline) >= MAX_PIPELINED:
            self.reject(Malformed("Too many requests at once on one connection."))
        self._head_since = None
        self._head_bytes = self._rest_bytes = 0
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        # Like uvicorn's method, without its timer for each response.
        if self.transport.has_ended:
            self._linger()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._head_since is None:
            self._responded_at = self.loop.time()
            self._rest_bytes = 0

    def _is_head_too_large(self) -> bool:
        if self._head_bytes + self._chunk_bytes <= MAX_HEAD_BYTES:
            return False
        fields = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return len(self.url) + fields > MAX_HEAD_BYTES

    def send_400_response(self, msg: str) -> None:
        self._reject_input(self.rejection or Malformed(msg))

    def _reject_input(self, error: StorelogError) -> None:
        """Send the error to what is not a request, after the responses still due, and close."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._respond(error)
        elif not cycle.more_body or cycle.response_started:
            # The request before the invalid input was complete: it gets its response, then the end.
            cycle.keep_alive = False
            self._head_since = None
            self.flow.pause_reading()
        elif self.pipeline:
            self.transport.abort()
        else:
            # Its body broke off: the response of its handler would come too late.
            self._disconnect(cycle)
            self._respond(error)

    def _respond(self, error: StorelogError) -> None:
        response = render(error, "", uuid4().hex)
        request_metrics.count_problem(response)
        headers = [
            *response.headers,
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("Connection", "close"),
        ]
        head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.transport.write(f"{head}\r\n".encode() + response.body)
        self.transport.close()
        self._linger()

    def _linger(self) -> None:
        """Read on after the last response, once that was handed to the system."""
        self._head_since = self._responded_at = None
        self.pipeline.clear()
        if self.transport.is_closed():
            return
        self._disconnect(self._running)
        self._running = self.cycle = None  # type: ignore[assignment]
        self.flow.resume_reading()
        if self._lingers_since is None and not self.transport.get_write_buffer_size():
            self._lingers_since = self._heard_at = self.loop.time()
            self.limits.linger(self, self.client)

    def _has_lingered(self, now: float) -> bool:
        since = self._lingers_since
        longest = LINGER_SECONDS if self._is_stopping else REST_SECONDS
        return since is not None and (
            now - self._heard_at > LINGER_SECONDS or now - since > longest
        )

    def look(self, now: float) -> None:
        """Close the connection if its head is late or its response unread; called every second.

        `now` is the loop's time in seconds.
        """
        if self._unbegun:
            return
        if self.transport.has_ended:
            self._linger()
            if self._has_lingered(now):
                self.transport.abort()
        since = self._head_since
        if since is not None and now - since > HEAD_DEADLINE_SECONDS:
            self._head_since = None
            if self._head_bytes and not self.transport.is_closing():
                self._reject_input(_too_late())
            else:
                self.transport.close_now()
        since = self._responded_at
        if since is not None and self._rest_bytes and now - since > REST_SECONDS:
            self.transport.close_now()
        elif since is not None and now - since > self.timeout_keep_alive:
            self.transport.close()
        unread = self.transport.get_write_buffer_size()
        if not unread or self._has_drained or unread <= self._unread - MIN_READ_BYTES:
            self._unread, self._unread_since = unread, now
            self._has_drained = False
        elif now - self._unread_since > WRITE_DEADLINE_SECONDS:
            self.transport.abort()
        else:
            self._unread = max(self._unread, unread)

    def cut_off(self) -> None:
        """Close the connection at once, whatever is still to be written."""
        self.transport.abort()

    def resume_writing(self) -> None:
        self._has_drained = True
        super().resume_writing()


def _too_large() -> ProtocolRefusal:
    detail = f"A request's head has at most {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} fields."
    return ProtocolRefusal(431, "headers-too-large", detail)


def _too_late() -> ProtocolRefusal:
    detail = f"The request's head did not arrive within {HEAD_DEADLINE_SECONDS:.0f} s."
    return ProtocolRefusal(408, "request-timeout", detail)
