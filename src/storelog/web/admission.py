"""The checks before every handler: hosts, origins, rate limits, keys, roles, in this order.

A check that the settings turn off costs a request next to nothing.
Next: web/auth.py
"""

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any

from storelog.config import Settings
from storelog.errors import Forbidden, Unauthenticated, Unavailable
from storelog.proxies import is_loopback
from storelog.web.auth import PUBLIC, Authenticator, authorize
from storelog.web.connections import client_of
from storelog.web.cors import Cors
from storelog.web.hosts import Hosts, host_of
from storelog.web.http import Caller, Response, Route
from storelog.web.keyring import Keyring
from storelog.web.rate_limits import Counted, RateLimits, check, headers_of
from storelog.web.sessions import Sessions
from storelog.web.tickets import of_query

# Where a request's scope keeps the headers that its response gets, whatever the response is.
EXTRA = "storelog.headers"
_COUNTED = "storelog.counted"
# The ticket that a request shows in place of a key.
_TICKET = "storelog.ticket"
# Whether it is admitted by the cookie of a session.
_SESSION = "storelog.session"
RECHECK_SECONDS = 1.0
Scope = MutableMapping[str, Any]


class Admission:
    """The checks of one service."""

    def __init__(
        self, settings: Settings, keyring: Keyring, sessions: Sessions | None = None
    ) -> None:
        tokens = None
        if settings.oidc_issuer or settings.oidc_audience:
            # Imported only here: its HTTP client and cryptography are a third of a service's start.
            from storelog.web.tokens import Tokens

            tokens = Tokens(settings)
        self._auth = Authenticator(keyring, tokens)
        self._sessions = sessions
        self._hosts = Hosts(settings)
        has_rates = settings.rate_limit_per_key or settings.rate_limit_per_address
        self._rates = RateLimits(settings) if has_rates else None
        self._cors = Cors(settings.cors_origins) if settings.cors_origins else None

    def check_host(self, path: str, headers: Mapping[str, str]) -> None:
        """Raise ProtocolRefusal 421 for a host that is not served while anyone may do everything.

        Probes are served under every host, since they use the address of a machine or container.
        """
        if self._auth.is_open and not path.startswith("/health/"):
            self._hosts.check(headers)

    def preflight(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """Return the response to a browser's preflight; count the request for its address.

        Raises ProtocolRefusal 429.
        """
        if self._cors is not None:
            scope[EXTRA] = self._cors.headers(headers)
            response = self._cors.preflight(scope["method"], headers)
            if response is not None:
                return response
        if self._rates is not None and not scope["path"].startswith("/health/"):
            self._count(scope, self._rates.of_address(client_of(scope.get("client"))))
        return None

    def caller(self, route: Route, headers: Mapping[str, str], scope: Scope) -> Caller | None:
        """Return the caller, or None where only `token_caller` can tell. Raises Unauthenticated."""
        if route.role == "public":
            return PUBLIC
        if route.takes_tickets and "authorization" not in headers:
            scope[_TICKET] = of_query(scope["query_string"])
        if route.takes_sessions and "authorization" not in headers:
            scope[_SESSION] = True
            self._check_open_page(headers, scope)
        return self._caller(headers, scope, may_have_ended=False)

    def _caller(
        self, headers: Mapping[str, str], scope: Scope, *, may_have_ended: bool
    ) -> Caller | None:
        if scope.get(_SESSION):
            return self._session_caller(headers)
        ticket = scope.get(_TICKET)
        if ticket is None:
            return self._auth.caller(headers)
        return self._auth.ticket_caller(ticket, may_have_ended=may_have_ended)

    def _session_caller(self, headers: Mapping[str, str]) -> Caller:
        """Return the session's caller; its key is looked up again. Raises Unauthenticated."""
        key = None if self._sessions is None else self._sessions.key_of(headers)
        shown = {} if key is None else {"authorization": f"Bearer {key}"}
        caller = self._auth.caller(shown)
        if caller is None:
            raise Unauthenticated
        return caller

    def _check_open_page(self, headers: Mapping[str, str], scope: Scope) -> None:
        """Raise Forbidden for a page without keys, unless it is opened on this machine."""
        if not self._auth.is_open:
            return
        address = (scope.get("client") or ("",))[0]
        if not (is_loopback(address) and is_loopback(host_of(headers))):
            raise Forbidden(
                "forbidden",
                "Without a key the console is open on this machine only: create one"
                " (`storelog keys create NAME --role admin`).",
            )

    async def token_caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who was given the request's token. Raises Unauthenticated, Unavailable."""
        return await self._auth.token_caller(headers)

    async def until_revoked(self, headers: Mapping[str, str], scope: Scope) -> None:
        """Wait until the caller of a stream would no longer be admitted."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                if self._caller(headers, scope, may_have_ended=True) is None:
                    await self._auth.token_caller(headers)
            except Unauthenticated:
                return
            except Unavailable:
                # Not knowing is no reason to end a stream: the key was valid when it began.
                continue

    def admit(self, caller: Caller, route: Route, scope: Scope) -> None:
        """Count the caller's request and check its role. Raises ProtocolRefusal 429, Forbidden."""
        if self._rates is not None and not route.is_probe:
            address = client_of(scope.get("client"))
            self._count(scope, self._rates.of_caller(caller.name, address))
        authorize(caller, route.role)

    def _count(self, scope: Scope, counted: Counted | None) -> None:
        if counted is None:
            return
        known = scope.setdefault(_COUNTED, [])
        known.append(counted)
        others = [pair for pair in scope.get(EXTRA, ()) if not pair[0].startswith(b"ratelimit")]
        scope[EXTRA] = [*others, *headers_of(known)]
        check(counted)
