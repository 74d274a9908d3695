"""The Command Service and the projector as pages use them: over HTTP, with the operator's key.

Guarantees that a page can do no more than the key allows, and that each write of a form has the
form's idempotency key, so that sending the form twice has one effect.
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
# How long a page waits for facts without which it can be shown.
GLANCE_SECONDS = 2.0
MAX_IN_FLIGHT = 200
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a write: the response's body, and its position."""

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
        response = await self._call(page, self._command_url, "GET", path, query=asked)
        return _body(response)

    async def glance(self, page: Request) -> Body | None:
        """Return the state of the write side, None if the Command Service is slow or away."""
        return await soon_or_none(self.get(page, "/operations"))

    async def glance_at_letters(self, page: Request) -> Body | None:
        """Return the dead letters, None if the projector is slow or away."""
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
        response = await self._call(page, self._command_url, method, path, headers, body=body)
        return Done(_body(response), response.position)

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
        # Made by the first call, since it belongs to the loop that runs then.
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
    """Return the call's result, None if it fails or takes longer than GLANCE_SECONDS."""
    try:
        async with asyncio.timeout(GLANCE_SECONDS):
            return await call
    except (Problem, Unavailable, TimeoutError):
        return None


def _body(response: Success) -> Body:
    body: Body = json.loads(response.body) if response.body else {}
    return body
