"""Finds out who sent a request, by its key, and what the role of that key allows.

The services' tables of routes say which role each endpoint needs; each role includes those below.
Next: web/app.py
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from storelog.errors import Forbidden, Unauthenticated
from storelog.setting_types import ROLES
from storelog.web.http import Caller
from storelog.web.keyring import Keyring
from storelog.web.tickets import NO_KEY, read

if TYPE_CHECKING:
    from storelog.web.tokens import Tokens

ANYBODY = Caller("", "admin")
PUBLIC = Caller("", "public")
_LEVEL = {"public": 0, **{role: level for level, role in enumerate(ROLES, 1)}}


class Authenticator:
    """Tells who sent a request; without any key at all, anyone may do everything."""

    def __init__(self, keyring: Keyring, tokens: "Tokens | None") -> None:
        self._keyring = keyring
        self._tokens = tokens

    @property
    def is_open(self) -> bool:
        """Tell whether anyone may do everything, since there is no key at all."""
        return self._keyring.is_empty and self._tokens is None

    def ticket_caller(self, text: str, *, may_have_ended: bool) -> Caller:
        """Return in whose name a ticket was issued. Raises Unauthenticated, Unavailable.

        `may_have_ended`: the ticket was valid when its stream began; only its key is checked again.
        """
        ticket = read(text)
        now_ms = self._keyring.now() * 1_000
        if ticket is None or not (may_have_ended or now_ms < ticket.ends_at_ms):
            raise Unauthenticated("The ticket is invalid or over a minute old: ask for a new one.")
        if self.is_open and ticket.is_of(NO_KEY):
            return ANYBODY
        key = self._keyring.of_ticket(ticket)
        return Caller(key.name, key.role)

    def caller(self, headers: Mapping[str, str]) -> Caller | None:
        """Return who sent the request, or None where only `token_caller` can tell.

        Raises Unauthenticated, Unavailable.
        """
        if self.is_open:
            return ANYBODY
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise self._keyring.rejection_without_key()
        text = text.strip()
        if self._tokens is not None and self._tokens.looks_like_one(text):
            return None
        key = self._keyring.find(text)
        return Caller(key.name, key.role)

    async def token_caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who was given the token of the request. Raises Unauthenticated, Unavailable."""
        assert self._tokens is not None
        return await self._tokens.caller(headers["authorization"].partition(" ")[2].strip())


def authorize(caller: Caller, role: str) -> None:
    """Raise Forbidden where the caller's role does not include `role`."""
    if not includes(caller, role):
        raise Forbidden("forbidden", f"This needs the role {role}; the key has {caller.role}.")


def includes(caller: Caller, role: str) -> bool:
    """Tell whether the caller's role includes `role`."""
    return _LEVEL[caller.role] >= _LEVEL[role]
