"""What services and workers count of HTTP: requests, problems by slug, server errors.

Next: web/app.py
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from storelog.web.http import AnyResponse, Response, Route
from storelog.web.metrics import Counter, Histogram, counter, gauge, histogram

REQUESTS = histogram(
    "storelog_http_request_duration_seconds",
    "Seconds from a request's head to its response's.",
    ("method", "route", "status"),
)
PROBLEMS = counter(
    "storelog_http_refusals_total",
    "Responses that are problems, by the slug of their type.",
    ("slug",),
)
SERVER_ERRORS = counter(
    "storelog_server_errors_total", "Failures of this process's own; the log has each."
)
SERVER_ERRORS.of()
STREAMS = gauge("storelog_http_streams", "Streams of server-sent events that are open now.").of()
STREAMS.set(0)
_SLUG = re.compile(rb'\{"type":"/problems/([a-z-]+)"')
_bound: dict[tuple[str, str, int], Histogram] = {}
_slugs: dict[bytes, Counter] = {}
_streams: list[None] = []


def count(route: Route | None, response: AnyResponse, seconds: float) -> None:
    """Count one request under its route's template, never under its path."""
    key = ("", "", response.status)
    if route is not None:
        key = (route.method, route.path, response.status)
    bound = _bound.get(key)
    if bound is None:
        # A path without a route has neither label: unknown paths must not make more time series.
        bound = _bound[key] = REQUESTS.of(key[0] or "none", key[1] or "none", str(key[2]))
    bound.observe(seconds)
    if isinstance(response, Response) and response.status >= 400:
        count_problem(response)


@contextmanager
def streaming() -> Iterator[None]:
    """Count a stream for as long as it is open."""
    _streams.append(None)
    STREAMS.set(len(_streams))
    try:
        yield
    finally:
        _streams.pop()
        STREAMS.set(len(_streams))


def count_problem(response: Response) -> None:
    """Count a problem by its slug, with which its body begins."""
    match = _SLUG.match(response.body)
    if match is None:
        return
    slug = match[1]
    if slug not in _slugs:
        _slugs[slug] = PROBLEMS.of(slug.decode())
    _slugs[slug].add()
