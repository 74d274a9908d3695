"""What a handler takes and returns: requests, responses, and a route's row in the table.

Next: web/app.py
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any, ClassVar

from storelog.errors import StorelogError
from storelog.shop.value import value


@value
class Caller:
    """Who sent a request: the name of the API key ("" without keys) and its role."""

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
    """One response; its body is JSON unless `content_type` says otherwise."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


@value
class Stream:
    """A response 200 without an end; `pieces` yields what is sent, at most a few KiB at once."""

    status: ClassVar[int] = 200
    pieces: AsyncGenerator[bytes]
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "text/event-stream"


AnyResponse = Response | Stream
Handler = Callable[[Request], Awaitable[AnyResponse]]
ErrorPage = Callable[[StorelogError, str, str, Mapping[str, str]], Response]


@value
class Operation:
    """What OpenAPI says about a route; `request` and `response` name schemas.

    `errors`: statuses of problems beside those that every route can have.
    """

    summary: str
    success: int = 200
    request: str | None = None
    response: str | None = None
    query: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    request_headers: tuple[str, ...] = ()
    content_type: str = "application/json"


@value
class Route:
    """One row of a service's table: an endpoint with the lowest role that may call it.

    `path` has ids in braces; every one is a positive 64-bit integer, or the path is not found.
    With `takes_tickets` a caller may show a ticket as the parameter `ticket` in place of a key, and
    with `takes_sessions` the cookie of a session. Where errors are not problem documents,
    `render_error` makes the response from path, correlation id and the request's headers.
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
        """Whether its response is JSON that a client may keep, with an ETag."""
        is_json = self.operation.content_type == "application/json"
        is_kept = not self.path.startswith(("/health/", "/problems/"))
        return self.method == "GET" and is_json and is_kept
