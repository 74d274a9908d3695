"""JWTs of an OpenID provider, as an alternative to keys.

A token is accepted if a key of the provider's set signed it with an allowed asymmetric algorithm,
for this audience, by this issuer, and it has not expired; nothing in a token chooses how it is
checked. A slow or unreachable provider delays nobody whose key is cached: the set is read
again in the background, when it is old or a key id is unknown, and dropped when that has failed for
an hour. A key id that cannot be looked up is the provider's fault (503), and not the token's
(401). OpenID Connect Core 1.0, RFC 7517 to 7519, RFC 8725.
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
import structlog

from storelog.config import Settings
from storelog.errors import BadSetting, Unauthenticated, Unavailable
from storelog.proxies import proxy_of
from storelog.setting_types import ROLES
from storelog.web.http import Caller

READ_SECONDS = 3.0
MAX_DOCUMENT_BYTES = 262_144
FRESH_SECONDS = 300.0
STALE_SECONDS = 3_600.0
# Tokens with made-up key ids must neither load the provider nor fill the service while it hangs.
MIN_SECONDS_BETWEEN_READS = 5.0
MAX_WAITING = 200
# What a key must be for an algorithm: its type, and its curve where the type has several.
_FITTING: dict[str, tuple[str, tuple[str, ...]]] = {
    "RS256": ("RSA", ()),
    "RS384": ("RSA", ()),
    "RS512": ("RSA", ()),
    "PS256": ("RSA", ()),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}
# The members of a key that are needed to check signatures.
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")
Jwk = Mapping[str, Any]
_log = structlog.get_logger()

LEEWAY_SECONDS = 30
_SUBJECT = re.compile(r"[\x21-\x7e]{1,200}")
_NOT_ACCEPTED = "The token is not accepted."


def looks_like_token(text: str) -> bool:
    """Tell a JWT (three parts, the first a JSON object in base64url) from a key."""
    return text.startswith("ey") and text.count(".") == 2


class Tokens:
    """Checks tokens of one provider."""

    looks_like_one = staticmethod(looks_like_token)

    def __init__(self, settings: Settings) -> None:
        if not settings.oidc_issuer or not settings.oidc_audience:
            name = "AUDIENCE" if settings.oidc_issuer else "ISSUER"
            raise BadSetting(f"STORELOG_OIDC_{name}", "", "both issuer and audience, or neither")
        self._issuer, self._audience = settings.oidc_issuer, settings.oidc_audience
        self._algorithms = settings.oidc_algorithms
        self._claim = settings.oidc_roles_claim.split(".")
        self._roles = {**{role: role for role in ROLES}, **dict(settings.oidc_roles)}
        self._keys = ProviderKeys(self._issuer, settings.oidc_jwks_url)

    async def caller(self, text: str) -> Caller:
        """Return who the token was given to. Raises Unauthenticated, Unavailable."""
        try:
            algorithm, key = await self._key(jwt.get_unverified_header(text))
            claims = jwt.decode(
                text,
                key,
                # One that the settings allow: the header of a token must not choose how it is
                # checked.
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired.") from error
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            # Its JSON may be nested too deep, or have an impossible time.
            raise Unauthenticated(_NOT_ACCEPTED) from error
        subject = claims["sub"]
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise Unauthenticated("The token's subject is not accepted.")
        # Names of keys have no colon, so a subject cannot pass for a key.
        return Caller(f"oidc:{subject}", self._role(claims))

    async def _key(self, header: Mapping[str, Any]) -> tuple[str, jwt.PyJWK]:
        """Return the token's algorithm, which settings allow, and the key that fits it."""
        kid, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in self._algorithms or not isinstance(kid, str):
            raise Unauthenticated(_NOT_ACCEPTED)
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise Unauthenticated(_NOT_ACCEPTED)
        return algorithm, key

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


class ProviderKeys:
    """The cached key set of one provider, for one event loop.

    One task at a time reads it; only a request whose key the cache lacks waits for that task.
    """

    def __init__(self, issuer: str, url: str | None) -> None:
        self._issuer, self._url = issuer, url
        self._keys: dict[str, list[Jwk]] = {}
        self._ready: dict[tuple[str, str], jwt.PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._has_failed = False
        self._waiting = 0

    async def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key with this id that fits the algorithm, None where there is none.

        Raises Unavailable while no set can be had, and PyJWTError for a key that is malformed.
        """
        age = time.monotonic() - self._read_at
        if kid not in self._keys or age > FRESH_SECONDS:
            self._begin_to_read()
        if kid not in self._keys or age > STALE_SECONDS:
            await self._wait()
        is_stale = time.monotonic() - self._read_at > STALE_SECONDS
        if is_stale or (kid not in self._keys and self._is_away):
            raise Unavailable("The OpenID provider is away.", retry_after_seconds=5)
        return self._fitting(kid, algorithm)

    @property
    def _is_away(self) -> bool:
        """Whether the last read failed or is still running."""
        return self._has_failed or (self._reading is not None and not self._reading.done())

    async def _wait(self) -> None:
        """Wait for the read that is running, if few requests wait for it."""
        if self._reading is None or self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.wait([self._reading], timeout=READ_SECONDS)
        finally:
            self._waiting -= 1

    def _fitting(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        found = self._ready.get((kid, algorithm))
        if found is None:
            key = next((key for key in self._keys.get(kid, ()) if _fits(key, algorithm)), None)
            if key is None:
                return None
            public = {name: key[name] for name in _PUBLIC if name in key}
            found = self._ready[kid, algorithm] = jwt.PyJWK(public, algorithm)
        return found

    def _begin_to_read(self) -> None:
        now = time.monotonic()
        is_reading = self._reading is not None and not self._reading.done()
        if not is_reading and now - self._tried_at >= MIN_SECONDS_BETWEEN_READS:
            self._tried_at = now
            self._reading = asyncio.create_task(self._read_again())

    async def _read_again(self) -> None:
        """Read the set; if that fails, the cached one stays until it is too old."""
        try:
            async with asyncio.timeout(READ_SECONDS), aiohttp.ClientSession() as session:
                url = self._url or await self._discover(session)
                keys = _by_id(await _read(session, url))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._has_failed = True
            _log.warning("the OpenID provider's keys cannot be read", error=repr(error)[:300])
            return
        self._has_failed = False
        self._keys, self._ready, self._read_at = keys, {}, time.monotonic()

    async def _discover(self, session: aiohttp.ClientSession) -> str:
        about = await _read(session, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        url = about.get("jwks_uri")
        if about.get("issuer") != self._issuer or not isinstance(url, str):
            raise ValueError("the provider's configuration is another issuer's")
        return url


def _fits(key: Jwk, algorithm: str) -> bool:
    """Tell whether a key of the set may check this algorithm's signatures.

    A key need not name its algorithm (RFC 7517, section 4.4); one that does is for no other.
    """
    kind, curves = _FITTING[algorithm]
    operations = key.get("key_ops")
    return (
        key.get("kty") == kind
        and (not curves or key.get("crv") in curves)
        and key.get("alg") in (None, algorithm)
        and key.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


async def _read(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, allow_redirects=False, proxy=proxy_of(url)) as reply:
        reply.raise_for_status()
        raw = await reply.content.read(MAX_DOCUMENT_BYTES + 1)
        while len(raw) <= MAX_DOCUMENT_BYTES and (more := await reply.content.read(65_536)):
            raw += more
        if reply.status != 200 or len(raw) > MAX_DOCUMENT_BYTES:
            raise ValueError("the provider's response is not 200 or is too large")
    found: dict[str, Any] = msgspec.json.decode(raw, type=dict)
    return found


def _by_id(document: Mapping[str, Any]) -> dict[str, list[Jwk]]:
    """Return the set's keys that can be told by an id. Raises ValueError for what is no set."""
    found: dict[str, list[Jwk]] = {}
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise ValueError("the provider's response is no set of keys")
    for key in listed:
        if isinstance(key, dict) and isinstance(key.get("kid"), str):
            found.setdefault(key["kid"], []).append(key)
    return found
