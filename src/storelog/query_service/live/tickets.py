"""POST /live/tickets: a ticket for GET /live, issued to the API key of the request.

A browser sends it in the URL, which logs may show, so it is valid for a minute only.
Next: query_service/live/stream.py
"""

from datetime import UTC, datetime
from hashlib import sha256

from storelog.envelope import format_time
from storelog.errors import Forbidden, Malformed
from storelog.query_service.positions.reads import Reads, reading_mongodb
from storelog.setting_types import ApiKey
from storelog.shop.json_values import encode_json
from storelog.web.http import Caller, Request, Response
from storelog.web.tickets import NO_KEY, issue


class TicketOffice:
    """The handler; `reads` gives the position from which a reader with the ticket can begin."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def issue(self, request: Request) -> Response:
        """POST /live/tickets"""
        if request.body:
            raise Malformed("This request must not have a body.")
        key = _key(request.caller, request.headers.get("authorization", ""))
        async with reading_mongodb():
            view = await self._reads.view()
        ticket, ends_at = issue(key, self._reads.clock.seconds())
        expires_at = format_time(datetime.fromtimestamp(ends_at, UTC))
        headers = (("Cache-Control", "no-store"), *view.place.headers())
        return Response(201, encode_json({"ticket": ticket, "expiresAt": expires_at}), headers)


def _key(caller: Caller, authorization: str) -> ApiKey:
    """Return the key that the caller has shown. Raises Forbidden for a provider's token."""
    if not caller.name:
        return NO_KEY
    if ":" in caller.name:
        # A ticket is signed with the hash of a key. A provider's token has no such secret that
        # every Query Service knows.
        raise Forbidden("forbidden", "Tickets are issued for API keys, not for a provider's token.")
    text = authorization.partition(" ")[2].strip()
    return ApiKey(caller.name, caller.role, sha256(text.encode()).hexdigest())
