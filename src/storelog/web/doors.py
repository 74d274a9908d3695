"""What stands before every handler: origins, rate limits, keys, roles, in this order.

Costs a request next to nothing where settings turn a door off.
Next: web/auth.py
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from storelog.config import Settings
from storelog.web.auth import PUBLIC, Authenticator, authorize
from storelog.web.connections import client_of
from storelog.web.cors import Cors
from storelog.web.http import Caller, Response
from storelog.web.keyring import Keyring
from storelog.web.rate_limits import RateLimits
from storelog.web.tokens import Tokens

# Where in a request's scope the headers are that its answer carries, whatever it is.
EXTRA = "storelog.headers"
Scope = MutableMapping[str, Any]


class Doors:
    """The doors of one service."""

    def __init__(self, settings: Settings, keyring: Keyring) -> None:
        has_tokens = settings.oidc_issuer or settings.oidc_audience
        self._auth = Authenticator(keyring, Tokens(settings) if has_tokens else None)
        has_rates = settings.rate_limit_per_key or settings.rate_limit_per_address
        self._rates = RateLimits(settings) if has_rates else None
        self._cors = Cors(settings.cors_origins) if settings.cors_origins else None

    def preflight(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """Answer a browser's question whether it may ask; count the request of its address.

        Raises ProtocolRefusal 429.
        """
        if self._cors is not None:
            scope[EXTRA] = self._cors.headers(headers)
            answer = self._cors.preflight(scope["method"], headers)
            if answer is not None:
                return answer
        if self._rates is not None and not scope["path"].startswith("/health/"):
            counted = self._rates.check_address(client_of(scope.get("client")))
            scope[EXTRA] = [*scope.get(EXTRA, ()), *counted]
        return None

    def caller(self, role: str, headers: Mapping[str, str]) -> Caller | None:
        """Return who asks, or None where `token_caller` must be asked. Raises Unauthenticated."""
        return PUBLIC if role == "public" else self._auth.caller(headers)

    async def token_caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who was given the request's token. Raises Unauthenticated, Unavailable."""
        return await self._auth.token_caller(headers)

    def admit(self, caller: Caller, role: str, scope: Scope) -> None:
        """Count the caller's request and check its role. Raises ProtocolRefusal 429, Forbidden."""
        if self._rates is not None and role != "public":
            counted = self._rates.check_caller(caller.name, client_of(scope.get("client")))
            scope[EXTRA] = [*scope.get(EXTRA, ()), *counted]
        authorize(caller, role)
