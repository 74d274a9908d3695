"""The files that pages load: the console's own, and third-party ones under `vendor`.

Each file has an address with its hash, so a browser can keep it for ever. The third-party files are
listed with version, checksum and licence in `static/vendor/VENDORED.json`.
Next: console/templates/base.html
"""

from hashlib import sha256
from importlib.resources import files

from storelog.errors import NotFound
from storelog.typed_cache import cached
from storelog.web.http import Operation, Request, Response, Route

FILES = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "vendor/htmx.min.js": "text/javascript; charset=utf-8",
    "vendor/sse.min.js": "text/javascript; charset=utf-8",
    "vendor/uPlot.iife.min.js": "text/javascript; charset=utf-8",
    "vendor/uPlot.min.css": "text/css; charset=utf-8",
}
FOLDER = files("storelog.console") / "static"
_FOR_EVER = "public, max-age=31536000, immutable"


@cached()
def read_file(name: str) -> bytes:
    """Return a file's bytes."""
    return FOLDER.joinpath(*name.split("/")).read_bytes()


@cached()
def _digest(name: str) -> str:
    return sha256(read_file(name)).hexdigest()[:12]


def address(name: str) -> str:
    """Return a file's address, which changes with its content."""
    return f"{_path(name)}?v={_digest(name)}"


def static_routes() -> list[Route]:
    """Return a route for each file; none of them needs a key."""
    return [_route(name, kind) for name, kind in FILES.items()]


def _route(name: str, kind: str) -> Route:
    body, digest = read_file(name), _digest(name)

    async def show(request: Request) -> Response:
        # During an upgrade two releases serve pages. A file under the other one's hash would be
        # kept for ever by the browser.
        if request.query.get("v", digest) != digest:
            raise NotFound("This is a file of another release: load the page again.")
        return Response(200, body, (("Cache-Control", _FOR_EVER),), kind)

    operation = Operation(name, query={"v": {}}, content_type=kind)
    return Route("GET", _path(name), "public", show, operation)


def _path(name: str) -> str:
    return f"/console/static/{name.rpartition('/')[2]}"
