"""`/problems/<slug>`: what each problem means and what to do, as a page or as JSON.

Needs no key, since a client whose key was rejected must be able to read why.
Next: web/problems.py
"""

from collections.abc import Mapping
from html import escape

from storelog.shop.commands import REJECTIONS
from storelog.shop.json_values import encode_json
from storelog.shop.unique import unique_values
from storelog.web.http import Operation, Request, Response, Route
from storelog.web.problems import STATUS, TITLES

# The status of each problem, and what to do about it.
ABOUT: Mapping[str, tuple[int, str]] = {
    "malformed-request": (
        400,
        "Send one JSON value in UTF-8, without duplicate keys or deep nesting, and headers of the "
        "form that the reference gives.",
    ),
    "unauthenticated": (401, "Send a valid key as `Authorization: Bearer KEY`."),
    "forbidden": (403, "Use a key of a higher role: read, write, import, admin."),
    "import-not-allowed": (
        403,
        "`orderDate`, a line's `price` and keys that begin with `import/` are for the role import.",
    ),
    "not-found": (404, "The path does not exist, or the entity does not exist or was deleted."),
    "method-not-allowed": (405, "Use one of the methods that the header `Allow` names."),
    "request-timeout": (408, "Send the whole request within 20 s, on a new connection."),
    "headers-too-large": (431, "Send fewer or shorter headers, and a shorter path."),
    "too-large": (413, "Send at most 1 MiB, in several requests if need be."),
    "unsupported-media-type": (
        415,
        "Send `Content-Type: application/json`, and no `Content-Encoding`.",
    ),
    "dead-letter-foreign": (
        409,
        "No log has the record, so there is nothing to retry: discard it.",
    ),
    "key-name-taken": (
        409,
        "Nothing was created. A name means one key for ever, in the log too: choose another. If the"
        " response to your first request was lost, revoke that key and create one of another name.",
    ),
    "idempotency-in-progress": (
        409,
        "The first request with this key still runs: repeat after `Retry-After`, with the key.",
    ),
    "other-history": (
        409,
        "Commits were lost since the position was given (a failover of PostgreSQL), and the log has"
        " gone on from an earlier one: what was written after it may be gone. `history` is the one"
        " that is read now. Forget the position, read again, and decide again.",
    ),
    "stale-version": (
        412,
        "`If-Match` or `If-None-Match` does not allow its version (`currentVersion`). Read "
        "it again and decide again.",
    ),
    "invalid-fields": (
        422,
        "`errors` names each invalid field and parameter, and why it is.",
    ),
    "idempotency-key-reused": (
        422,
        "A key belongs to one request: method, path, body, `If-Match` and `If-None-Match`. Use a "
        "new key.",
    ),
    "overloaded": (503, "Nothing was done. Repeat after `Retry-After`, with growing pauses."),
    "unavailable": (503, "Nothing was done. Repeat after `Retry-After`."),
    "not-caught-up": (
        503,
        "The read side is behind `Storelog-Wait-For`; repeat, or wait longer with `Prefer: wait=`. "
        "Where it names a dead letter, an operator must retry or discard that first.",
    ),
    "outcome-unknown": (
        503,
        "The command may have been done. Repeat it with the same `Idempotency-Key`: you get the "
        "first response if it was, and it is done once if it was not.",
    ),
    "misdirected-request": (
        421,
        "Nothing was done. Without keys a service serves only requests to hosts that it knows as "
        "its own: use one of them, name the host in `STORELOG_ALLOWED_HOSTS`, or create a key.",
    ),
    "too-many-requests": (429, "Repeat after `Retry-After`; this client has its limit."),
    **{each.slug: (STATUS[each.error], each.about) for each in REJECTIONS},
    **{
        unique.slug: (
            409,
            f"Nothing was changed. No two {kind.collection} that are not deleted share a {name}.",
        )
        for kind, name, unique in unique_values()
    },
    "internal-error": (
        500,
        "The request failed for a reason that no rule foresees. A command that gets this changed "
        "nothing, and its `Idempotency-Key` is not remembered. Report it with the `correlationId`, "
        "under which the service's log has the cause.",
    ),
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto}}</style>
<h1>{title}</h1><p>{about}</p><p><code>{status}</code> <code>/problems/{slug}</code></p></html>
"""


def problem_routes() -> list[Route]:
    """Return a route for each problem that there is."""
    return [_route(slug) for slug in TITLES]


def _route(slug: str) -> Route:
    status, about = ABOUT[slug]
    title = TITLES[slug]
    facts = {"type": f"/problems/{slug}", "title": title, "status": status, "about": about}
    texts = {"title": escape(title), "about": escape(about)}
    page = _PAGE.format(**texts, status=status, slug=slug).encode()
    as_page = Response(200, page, (), "text/html; charset=utf-8")
    as_json = Response(200, encode_json(facts))

    async def show(request: Request) -> Response:
        return as_page if "text/html" in request.headers.get("accept", "") else as_json

    return Route("GET", f"/problems/{slug}", "public", show, Operation(title))
