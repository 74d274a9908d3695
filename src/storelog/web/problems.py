"""Every error as RFC 9457 `application/problem+json`, by one table from class to status.

Guarantees that a response never shows internals: an error outside the tree is a plain 500.
Next: web/app.py
"""

from typing import Any

from storelog import errors
from storelog.shop.commands import REJECTIONS
from storelog.shop.json_values import encode_json
from storelog.shop.unique import unique_values
from storelog.web.http import Response

STATUS: dict[type[errors.StorelogError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.OtherHistory: 409,
    errors.StaleVersion: 412,
    errors.InvalidFields: 422,
    errors.Unavailable: 503,
    errors.NotCaughtUp: 503,
    errors.OutcomeUnknown: 503,
}
TITLES = {
    "malformed-request": "The request cannot be read",
    "unauthenticated": "A key is needed",
    "forbidden": "The key's role is too low",
    "import-not-allowed": "Only an import may set this",
    "not-found": "Not found",
    "method-not-allowed": "The method is not allowed here",
    "request-timeout": "The request took too long to arrive",
    "headers-too-large": "The request's head is too large",
    "too-large": "The request is too large",
    "unsupported-media-type": "The body must be application/json",
    "dead-letter-foreign": "A foreign record cannot be retried",
    "key-name-taken": "A key of this name was created before",
    "idempotency-in-progress": "The first request with this key is still running",
    "other-history": "The position is of another history of the log",
    "stale-version": "The version is not the current one",
    "invalid-fields": "Some fields are not valid",
    "idempotency-key-reused": "The key was used for another request",
    "overloaded": "Too many requests are waiting",
    "unavailable": "A server that the service needs is away",
    "not-caught-up": "The read model does not hold that position yet",
    "outcome-unknown": "The outcome is not known",
    "misdirected-request": "The request is meant for another host",
    "too-many-requests": "Too many requests in a short time",
    "internal-error": "The request failed unexpectedly",
    **{each.slug: each.title for each in REJECTIONS},
    **{
        unique.slug: f"Another {kind.name} has this {name}"
        for kind, name, unique in unique_values()
    },
}


def render(error: errors.StorelogError, instance: str, correlation_id: str) -> Response:
    """Return the problem document for an error, with the headers that go with it."""
    headers: tuple[tuple[str, str], ...] = ()
    facts: dict[str, Any] = {}
    slug, detail = "internal-error", "The request failed; the log has it under this correlationId."
    status = 500
    if isinstance(error, errors.ProtocolRefusal):
        status, slug, detail, headers = error.status, error.slug, error.detail, error.headers
    elif isinstance(error, errors.Refusal):
        status, slug, detail = STATUS[type(error)], error.slug, error.detail
        facts, headers = error.facts, error.headers
    elif isinstance(error, errors.Unavailable):
        status, slug, detail = STATUS[type(error)], error.slug, error.detail
        facts = dict(error.facts)
        headers = (("Retry-After", str(error.retry_after_seconds)),)
    elif isinstance(error, errors.CommandFailed):
        detail = error.detail
    if status == 401:
        headers = (*headers, ("WWW-Authenticate", 'Bearer realm="storelog"'))
    # `type` comes first, since request_metrics.py reads the slug from the beginning of the body.
    problem = {
        "type": f"/problems/{slug}",
        "title": TITLES[slug],
        "status": status,
        "detail": detail,
        "instance": instance,
        "correlationId": correlation_id,
        **facts,
    }
    return Response(status, encode_json(problem), headers, "application/problem+json")
