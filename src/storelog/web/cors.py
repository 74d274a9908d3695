"""Cross-origin requests from browsers: none, unless settings name the origins.

A page of another origin cannot send JSON or a key here unless a preflight allows it, so without
configured origins nothing is needed. No origin is ever copied from the request, and no cookie is
ever allowed.
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
        """Return a response's headers for the browser of an allowed origin, and for caches."""
        origin = headers.get("origin")
        if origin not in self._origins:
            # Also without an allowed origin, so that no cache gives this response to one.
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _SHOWN.encode()),
        ]

    def preflight(self, method: str, headers: Mapping[str, str]) -> Response | None:
        """Return the response to a preflight of an allowed origin; None for any other request."""
        is_preflight = method == "OPTIONS" and "access-control-request-method" in headers
        if not is_preflight or headers.get("origin") not in self._origins:
            return None
        allowed = (
            ("Access-Control-Allow-Methods", _METHODS),
            ("Access-Control-Allow-Headers", _SENT),
            ("Access-Control-Max-Age", "600"),
        )
        return Response(204, b"", allowed)
