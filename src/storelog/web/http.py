"""What a handler gets and gives: requests, responses, and a route's row in the table.

Next: web/app.py
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any, ClassVar

from storelog.errors import StorelogError
from storelog.shop.value import value


@value
class Caller:
    """Who asks: the name of the API key ("" without keys) and its role."""

    name: str
    role: str


@value
class Request:
    """One request that was read whole: ids and parameters are checked, the body is bytes."""

    method: str
    path: str
    ids: Mapping[str, int]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    caller: Caller
    correlation_id: str
    traceparent: str | None = None
    client: str = ""


@value
class Response:
    """One answer; a body of JSON unless `content_type` says otherwise."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


@value
class Stream:
    """An answer of 200 that goes on: `pieces` yields what is sent, at most a few KiB at once."""

    status: ClassVar[int] = 200
    pieces: AsyncGenerator[bytes]
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "text/event-stream"


Answer = Response | Stream
Handler = Callable[[Request], Awaitable[Answer]]
ErrorPage = Callable[[StorelogError, str, str, Mapping[str, str]], Response]


@value
class Operation:
    """What OpenAPI says of a route; schemas are JSON Schema, by name from the components."""

    summary: str
    success: int = 200
    request: str | None = None
    response: str | None = None
    query: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    request_headers: tuple[str, ...] = ()
    content_type: str = "application/json"


@value
class Route:
    """One row of a service's table: every endpoint with the least role that may call it.

    `path` has ids in braces; every one is a positive 64-bit integer, or the path is not found.
    With `takes_tickets` a caller may show a ticket as the parameter `ticket` in place of a key, and
    with `takes_sessions` the cookie of a session. Where errors are no problem documents,
    `render_error` makes the response, of the path, the correlation id and the request's headers.
    """

    method: str
    path: str
    role: str
    handler: Handler
    operation: Operation
    takes_tickets: bool = False
    takes_sessions: bool = False
    render_error: ErrorPage | None = None

    @property
    def is_probe(self) -> bool:
        """Whether it is for probes of the process, which no rate limit counts."""
        return self.path.startswith("/health/")

    @property
    def has_tag(self) -> bool:
        """Whether its answer is JSON that a client may keep, with an ETag."""
        is_json = self.operation.content_type == "application/json"
        is_kept = not self.path.startswith(("/health/", "/problems/"))
        return self.method == "GET" and is_json and is_kept
