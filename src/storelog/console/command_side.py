"""The Command Service and the projector as pages use them: over HTTP, with the operator's key.

Guarantees that a page can do no more than the key may, and that each write that a form sends has
the idempotency key of that form: sent twice, it is done once.
Next: client/transport.py
"""

import asyncio
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from storelog.client.problems import NoAnswer, Problem
from storelog.client.transport import Success, Transport
from storelog.errors import Unavailable
from storelog.web.http import Request
from storelog.web.sessions import Sessions

PATIENCE_SECONDS = 8.0
# For so long a page waits for what it can be shown without.
GLANCE_SECONDS = 2.0
MAX_IN_FLIGHT = 200
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What a write did: the response's body, and the position that holds it."""

    body: Body
    position: int


class CommandSide:
    """Calls of the Command Service, and of the projector where its address is known."""

    def __init__(self, command_url: str, projector_url: str | None, sessions: Sessions) -> None:
        self._command_url = command_url.rstrip("/")
        self._projector_url = (projector_url or "").rstrip("/")
        self._sessions = sessions
        self._transport: Transport | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.close()

    async def get(
        self, page: Request, path: str, query: Mapping[str, str | None] | None = None
    ) -> Body:
        """Return the body of a GET. Raises Problem, Unavailable."""
        asked = {name: value for name, value in (query or {}).items() if value}
        answer = await self._call(page, self._command_url, "GET", path, query=asked)
        return _body(answer)

    async def glance(self, page: Request) -> Body | None:
        """Return how the write side is, None where the Command Service does not tell it soon."""
        return await soon_or_none(self.get(page, "/operations"))

    async def glance_at_letters(self, page: Request) -> Body | None:
        """Return the dead letters, None where the projector does not tell them soon."""
        return await soon_or_none(self.ask_projector(page, "GET", "/dead-letters"))

    async def send(
        self,
        page: Request,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> Done:
        """Send a command. Raises Problem, Unavailable."""
        headers = {} if key is None else {"Idempotency-Key": key}
        if version:
            headers["If-Match"] = f'"{version}"'
        answer = await self._call(page, self._command_url, method, path, headers, body=body)
        return Done(_body(answer), answer.position)

    async def ask_projector(
        self, page: Request, method: str, path: str, body: Body | None = None, **query: str
    ) -> Body:
        """Ask the projector about dead letters. Raises Problem, Unavailable."""
        if not self._projector_url:
            raise Unavailable("Set STORELOG_PROJECTOR_URL: the projector has the dead letters.")
        url = self._projector_url
        return _body(await self._call(page, url, method, path, query=query, body=body))

    async def _call(
        self,
        page: Request,
        url: str,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Success:
        if self._transport is None:
            self._transport = Transport(None, PATIENCE_SECONDS, MAX_IN_FLIGHT)
        sent = {**(headers or {}), "X-Correlation-Id": page.correlation_id}
        key = self._sessions.key_of(page.headers)
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        try:
            return await self._transport.call(
                method, url, path, query=query, headers=sent, body=body
            )
        except NoAnswer as error:
            raise Unavailable(f"{error}.") from error


async def soon_or_none(call: Awaitable[Body]) -> Body | None:
    """Return what the call does; None where it fails, or takes longer than a glance."""
    try:
        async with asyncio.timeout(GLANCE_SECONDS):
            return await call
    except (Problem, Unavailable, TimeoutError):
        return None


def _body(answer: Success) -> Body:
    body: Body = json.loads(answer.body) if answer.body else {}
    return body
