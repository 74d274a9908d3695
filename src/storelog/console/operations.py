"""Operations: processes and servers, lag by lane, last results, dead letters, keys.

Each form needs the role admin. The services check the role again, by the operator's key.
Next: console/command_side.py
"""

import asyncio
from typing import Any

from storelog.client.problems import Problem
from storelog.console.changes import form_error
from storelog.console.forms import Form
from storelog.console.overview import health_of, last_results
from storelog.console.page import see_other
from storelog.console.query_side import Found
from storelog.console.rates import rates
from storelog.console.site import Site
from storelog.setting_types import ROLES
from storelog.web.http import Request, Response, Route

HOME = "/console/operations"
COMMANDS = {
    "verify": "storelog verify",
    "rebuild": "storelog rebuild --promote",
    "anchor": "storelog verify --anchor FILE",
}


class OperationPages:
    """The pages and forms."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Return the routes."""
        site = self._site
        return [
            site.get(HOME, self._show),
            site.get(f"{HOME}/dead-letter", self._dead_letter, "id"),
            site.post(f"{HOME}/retry", self._retry, "admin"),
            site.post(f"{HOME}/discard", self._discard, "admin"),
            site.get(f"{HOME}/keys", self._keys, role="admin"),
            site.post(f"{HOME}/keys", self._create_key, "admin"),
            site.post(f"{HOME}/keys/revocation", self._revoke, "admin"),
        ]

    async def _show(self, request: Request) -> Response:
        read, write, letters = await asyncio.gather(
            self._site.query.get(request, "/operations"),
            self._site.commands.glance(request),
            self._site.commands.glance_at_letters(request),
        )
        return self._site.templates.page(
            request,
            "operations.html",
            read=read.body,
            write=write,
            health=health_of(read, write),
            lanes=_lanes(read, write),
            rates=await rates(self._site.query, request, read.body["position"]),
            letters=letters,
            results=last_results(write),
            commands=COMMANDS,
        )

    async def _dead_letter(self, request: Request) -> Response:
        return await self._letter_page(request, request.query.get("id", ""))

    async def _letter_page(
        self, request: Request, letter_id: str, status: int = 200, message: str | None = None
    ) -> Response:
        letter = await self._site.commands.ask_projector(
            request, "GET", "/dead-letters/one", id=letter_id
        )
        facts: dict[str, Any] = {"letter": letter, "message": message}
        return self._site.templates.page(request, "dead_letter.html", status, **facts)

    async def _retry(self, request: Request, form: Form) -> Response:
        letter_id = form.text("id")
        body = {"ids": [letter_id] if letter_id else []}
        done = await self._site.commands.ask_projector(
            request, "POST", "/dead-letters/retries", body
        )
        if letter_id in done["stillDead"]:
            message = f"It still cannot be projected: {done['stillDead'][letter_id]}"
            return await self._letter_page(request, letter_id, 409, message)
        return see_other(HOME)

    async def _discard(self, request: Request, form: Form) -> Response:
        letter_id = form.text("id")
        if form.text("confirmation") != letter_id:
            message = f"Nothing was discarded: type {letter_id} to confirm it."
            return await self._letter_page(request, letter_id, 422, message)
        await self._site.commands.ask_projector(
            request, "POST", "/dead-letters/discards", {"id": letter_id}
        )
        return see_other(HOME)

    async def _keys(self, request: Request) -> Response:
        return await self._key_page(request)

    async def _key_page(self, request: Request, status: int = 200, **more: Any) -> Response:
        keys = await self._site.commands.get(request, "/keys")
        facts: dict[str, Any] = {
            "keys": keys["items"],
            "roles": ROLES,
            "created": None,
            "values": {},
            **more,
        }
        return self._site.templates.page(request, "keys.html", status, **facts)

    async def _create_key(self, request: Request, form: Form) -> Response:
        # Without an idempotency key: its stored response would hold the text of the new key.
        body = {"name": form.text("name"), "role": form.text("role")}
        if form.text("expiresAt"):
            body["expiresAt"] = f"{form.text('expiresAt')}T00:00:00Z"
        try:
            done = await self._site.commands.send(request, "POST", "/keys", body)
        except Problem as problem:
            return await self._key_page(request, problem.status, **form_error(problem, form))
        if done.body["isFirst"]:
            # From the first key on, reading the list needs a key, and this session has none yet.
            facts: dict[str, Any] = {"keys": [], "roles": ROLES, "created": done.body, "values": {}}
            return self._site.templates.page(request, "keys.html", **facts)
        return await self._key_page(request, created=done.body)

    async def _revoke(self, request: Request, form: Form) -> Response:
        await self._site.commands.send(
            request, "POST", "/keys/revocations", {"name": form.text("name")}
        )
        return see_other(f"{HOME}/keys")


def _lanes(read: Found, write: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return each lane with the last position that was sent in it, None if unknown."""
    sent = [] if write is None else write["relay"]["lanes"]
    return [
        {**lane, "sent": sent[lane["lane"]] if lane["lane"] < len(sent) else None}
        for lane in read.body["lanes"]
    ]
