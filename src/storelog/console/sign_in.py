"""Signing in with an API key, and signing out.

Next: web/sessions.py
"""

import re

from storelog.console.forms import Form
from storelog.console.page import see_other
from storelog.console.site import Site
from storelog.errors import Unauthenticated
from storelog.web.http import Operation, Request, Response, Route
from storelog.web.keyring import Keyring
from storelog.web.sessions import Sessions

MAX_KEY_LENGTH = 1_000
_HOME = "/console"
# Only pages of the console: a link to sign in must not lead to another site afterwards.
_NEXT = re.compile(r"/console(/[a-z0-9/-]*)?")


class SignIn:
    """The pages and forms of signing in and out."""

    def __init__(self, site: Site, sessions: Sessions, keyring: Keyring, about: bytes) -> None:
        self._site, self._sessions, self._keyring = site, sessions, keyring
        self._about = about

    def routes(self) -> list[Route]:
        """Return the routes, which need no key."""
        return [
            self._site.get("/console/sign-in", self._show, "next", role="public"),
            self._site.post("/console/sign-in", self._begin, role="public"),
            self._site.post("/console/sign-out", self._end, role="public"),
            # In place of the service's own route for /, so that a browser gets the console.
            Route("GET", "/", "public", self._home, Operation("Name, version, currency")),
        ]

    async def _home(self, request: Request) -> Response:
        """GET /: redirect a browser to the console; describe the service to a program."""
        vary = ("Vary", "Accept")
        if "text/html" in request.headers.get("accept", ""):
            return see_other(_HOME, vary)
        return Response(200, self._about, (vary,))

    async def _show(self, request: Request) -> Response:
        return self._form(request, request.query.get("next", _HOME))

    async def _begin(self, request: Request, form: Form) -> Response:
        text, place = form.text("key"), form.text("next")
        try:
            if not re.fullmatch(rf"[\x21-\x7e]{{1,{MAX_KEY_LENGTH}}}", text):
                raise Unauthenticated
            self._keyring.find(text)
        except Unauthenticated:
            # One message for all causes: it must not tell which keys exist.
            message = "This key is not known, was revoked, or has expired."
            return self._form(request, place, 401, message)
        return see_other(_safe(place), self._sessions.begin(text))

    async def _end(self, request: Request, _form: Form) -> Response:
        return see_other("/console/sign-in", self._sessions.end(request.headers))

    def _form(
        self, request: Request, place: str, status: int = 200, message: str | None = None
    ) -> Response:
        facts = {"next": _safe(place), "message": message}
        return self._site.templates.page(request, "sign_in.html", status, **facts)


def _safe(place: str) -> str:
    return place if _NEXT.fullmatch(place) else _HOME
