"""JWTs of an OpenID provider, as an alternative to keys.

A token is accepted if a key of the provider's set signed it with an allowed asymmetric algorithm,
for this audience, by this issuer, and it has not expired; nothing in a token chooses how it is
checked. The set is cached, read again when it is old or a key id is unknown, and forgotten when
the provider has been away for an hour. OpenID Connect Core 1.0, RFC 7519, RFC 8725.
Next: web/auth.py
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import jwt
import msgspec

from storelog.config import Settings
from storelog.errors import BadSetting, Unauthenticated, Unavailable
from storelog.setting_types import ROLES
from storelog.web.http import Caller

READ_SECONDS = 3.0
MAX_DOCUMENT_BYTES = 262_144
FRESH_SECONDS = 300.0
STALE_SECONDS = 3_600.0
# Tokens with made-up key ids do not make the provider's load.
MIN_SECONDS_BETWEEN_READS = 5.0
LEEWAY_SECONDS = 30
_SUBJECT = re.compile(r"[\x21-\x7e]{1,200}")
_NOT_ACCEPTED = "The token is not accepted."


def looks_like_token(text: str) -> bool:
    """Tell a JWT (three parts, the first a JSON object in base64url) from a key."""
    return text.startswith("ey") and text.count(".") == 2


class Tokens:
    """Checks tokens of one provider."""

    def __init__(self, settings: Settings) -> None:
        if not settings.oidc_issuer or not settings.oidc_audience:
            name = "AUDIENCE" if settings.oidc_issuer else "ISSUER"
            raise BadSetting(f"STORELOG_OIDC_{name}", "", "both issuer and audience, or neither")
        self._issuer, self._audience = settings.oidc_issuer, settings.oidc_audience
        self._algorithms = list(settings.oidc_algorithms)
        self._claim = settings.oidc_roles_claim.split(".")
        self._roles = {**{role: role for role in ROLES}, **dict(settings.oidc_roles)}
        self._url = settings.oidc_jwks_url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    async def caller(self, text: str) -> Caller:
        """Return who the token was given to. Raises Unauthenticated, Unavailable."""
        try:
            key = await self._key(jwt.get_unverified_header(text))
            claims = jwt.decode(
                text,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired.") from error
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            # Its JSON may be nested too deep, or name a moment that is none.
            raise Unauthenticated(_NOT_ACCEPTED) from error
        subject = claims["sub"]
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise Unauthenticated("The token's subject is not accepted.")
        # A key's name has no colon: nobody can be taken for a key.
        return Caller(f"oidc:{subject}", self._role(claims))

    async def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        kid = header.get("kid")
        if header.get("alg") not in self._algorithms or not isinstance(kid, str):
            raise Unauthenticated(_NOT_ACCEPTED)
        now = time.monotonic()
        if kid not in self._keys or now - self._read_at > FRESH_SECONDS:
            async with self._reading:
                await self._read_again(now)
        if now - self._read_at > STALE_SECONDS:
            raise Unavailable("The OpenID provider is away.", retry_after_seconds=5)
        if kid not in self._keys:
            raise Unauthenticated(_NOT_ACCEPTED)
        return self._keys[kid]

    async def _read_again(self, asked_at: float) -> None:
        if self._tried_at > asked_at - MIN_SECONDS_BETWEEN_READS:
            return
        self._tried_at = time.monotonic()
        try:
            timeout = aiohttp.ClientTimeout(total=READ_SECONDS)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                url = self._url or await self._discover(session)
                self._keys = _key_set(await _read(session, url))
            self._read_at = time.monotonic()
        except (aiohttp.ClientError, TimeoutError, ValueError, jwt.PyJWTError) as error:
            if time.monotonic() - self._read_at > STALE_SECONDS:
                raise Unavailable("The OpenID provider is away.", retry_after_seconds=5) from error

    async def _discover(self, session: aiohttp.ClientSession) -> str:
        about = await _read(session, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        url = about.get("jwks_uri")
        if about.get("issuer") != self._issuer or not isinstance(url, str):
            raise ValueError("the provider's configuration is another issuer's")
        return url

    def _role(self, claims: Mapping[str, Any]) -> str:
        value: Any = claims
        for name in self._claim:
            value = value.get(name) if isinstance(value, dict) else None
        given = value.split() if isinstance(value, str) else value
        if not isinstance(given, list):
            return "public"
        ours = {
            self._roles[role] for role in given if isinstance(role, str) and role in self._roles
        }
        return next((role for role in reversed(ROLES) if role in ours), "public")


async def _read(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, allow_redirects=False) as reply:
        reply.raise_for_status()
        raw = await reply.content.read(MAX_DOCUMENT_BYTES + 1)
        while len(raw) <= MAX_DOCUMENT_BYTES and (more := await reply.content.read(65_536)):
            raw += more
        if reply.status != 200 or len(raw) > MAX_DOCUMENT_BYTES:
            raise ValueError("the provider's answer is none")
    found: dict[str, Any] = msgspec.json.decode(raw, type=dict)
    return found


def _key_set(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    return {
        key.key_id: key
        for key in jwt.PyJWKSet.from_dict(dict(document)).keys
        if key.key_id and key.public_key_use in (None, "sig")
    }
