"""Cross-origin requests from browsers: none, unless settings name the origins.

A page of another origin cannot send JSON or a key here unless a preflight allows it, so with no
origin set there is nothing to do; no origin is ever taken from the request, and cookies never are.
Next: web/app.py
"""

from collections.abc import Mapping, Sequence

from storelog.web.http import Response

_METHODS = "GET, HEAD, POST, PUT, DELETE"
_SENT = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer,"
    " Storelog-History, Storelog-Wait-For, X-Correlation-Id, traceparent"
)
_SHOWN = (
    "ETag, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After,"
    " Storelog-Dead-Letters, Storelog-History, Storelog-Position, X-Correlation-Id"
)
Headers = list[tuple[bytes, bytes]]


class Cors:
    """Allows the origins of the settings, each exactly as written."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def headers(self, headers: Mapping[str, str]) -> Headers:
        """Return what an answer says to the browser of an allowed origin, or to caches."""
        origin = headers.get("origin")
        if origin not in self._origins:
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _SHOWN.encode()),
        ]

    def preflight(self, method: str, headers: Mapping[str, str]) -> Response | None:
        """Return the answer to a preflight of an allowed origin; None where it is none."""
        is_preflight = method == "OPTIONS" and "access-control-request-method" in headers
        if not is_preflight or headers.get("origin") not in self._origins:
            return None
        allowed = (
            ("Access-Control-Allow-Methods", _METHODS),
            ("Access-Control-Allow-Headers", _SENT),
            ("Access-Control-Max-Age", "600"),
        )
        return Response(204, b"", allowed)
