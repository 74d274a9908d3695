"""How the body of a read is sent: with an entity tag, as 304 if the client has it, or compressed.

RFC 9110, sections 8.8, 12.5.3, 13.1.2 and 15.4.5. A body without a tag gets a weak one made of its
bytes. Compression never blocks the event loop: small bodies are sent as they are, larger ones are
compressed at once, very large ones in one thread, or not at all while that thread is busy.
Next: web/app.py
"""

import asyncio
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from storelog.web.entity_tags import gzipped, read_tags
from storelog.web.http import Response

GZIP_FROM_BYTES = 4_096
GZIP_LEVEL = 4
# 64 KiB take 0.7 ms; a larger body is compressed in the thread.
INLINE_BYTES = 65_536
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
_CODING = re.compile(r"\s*([a-zA-Z*-]+)\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?")


class Representation:
    """Chooses the representation of a response; one per service, with its one thread."""

    def __init__(self) -> None:
        self._is_compressing = False

    async def choose(self, headers: Mapping[str, str], response: Response) -> Response:
        """Return the response to a GET with these headers (lower-case names). Raises Malformed."""
        headers_out = dict(response.headers)
        tag = headers_out.pop("ETag", None) or f'W/"{sha256(response.body).hexdigest()[:32]}"'
        varies = ", ".join(filter(None, (headers_out.get("Vary"), "Accept-Encoding")))
        headers_out |= {"Vary": varies, "Cache-Control": "no-cache"}
        wanted = headers.get("if-none-match")
        had = None if wanted is None else _had(tag, wanted)
        if had is not None:
            return Response(304, b"", (("ETag", had), *headers_out.items()))
        body = await self._compressed(headers, response.body)
        if body is not None:
            tag = gzipped(tag)
            headers_out["Content-Encoding"] = "gzip"
        return replace(
            response, body=body or response.body, headers=(("ETag", tag), *headers_out.items())
        )

    async def _compressed(self, headers: Mapping[str, str], body: bytes) -> bytes | None:
        if len(body) < GZIP_FROM_BYTES or not _accepts_gzip(headers.get("accept-encoding", "")):
            return None
        if len(body) <= INLINE_BYTES:
            return _gzip(body)
        if self._is_compressing:
            return None
        self._is_compressing = True
        try:
            return await asyncio.to_thread(_gzip, body)
        finally:
            self._is_compressing = False


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    return packer.compress(body) + packer.flush()


def _accepts_gzip(accepted: str) -> bool:
    weights: dict[str, float] = {}
    # A header of any length must not cost more than a usual one.
    for part in accepted[:1_000].split(","):
        coding = _CODING.fullmatch(part)
        if coding is not None:
            weights[coding[1].lower()] = float(coding[2] or 1)
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _had(tag: str, wanted: str) -> str | None:
    """Return which form of the tag the client has, compared weakly. Raises Malformed.

    A 304 names the stored body that it makes fresh: plain, or compressed.
    """
    tags = read_tags("If-None-Match", wanted)
    if tags is None:
        return tag
    opaque = {given.removeprefix("W/") for given in tags}
    return next((t for t in (tag, gzipped(tag)) if t.removeprefix("W/") in opaque), None)
