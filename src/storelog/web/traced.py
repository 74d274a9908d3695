"""The span of an HTTP request, where tracing is on: the first of the trace or below the client's.

Next: tracing.py
"""

from dataclasses import replace

from storelog import tracing
from storelog.web.http import AnyResponse, Request, Route


async def respond(route: Route, request: Request) -> AnyResponse:
    """Return the handler's response, made in a span whose traceparent the request carries."""
    attributes = {
        "http.request.method": request.method,
        "http.route": route.path,
        "storelog.correlation_id": request.correlation_id,
    }
    span = tracing.begin(
        f"{request.method} {route.path}", "server", request.traceparent, attributes
    )
    try:
        response = await route.handler(replace(request, traceparent=span.traceparent))
    except BaseException as error:
        span.end(error=type(error).__name__)
        raise
    # An error of a client is no failure of the service, so only 5xx marks the span.
    failed = f"status {response.status}" if response.status >= 500 else None
    span.end({"http.response.status_code": response.status}, error=failed)
    return response
