"""JWTs of an OpenID provider, against a real one on loopback: who is let in, and who never is."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from storelog.config import Settings
from storelog.errors import BadSetting, Unauthenticated, Unavailable
from storelog.web import tokens
from storelog.web.tokens import Tokens
from support.provider import Provider, role_of, settings


@pytest.mark.parametrize(("kid", "algorithm"), [("one", "RS256"), ("two", "ES256")])
def test_a_token_of_the_provider_is_accepted(provider: Provider, kid: str, algorithm: str) -> None:
    token = provider.token(kid, algorithm)
    assert tokens.looks_like_token(token)
    assert role_of(Tokens(settings(provider)), token) == ("oidc:ann", "write")


def _raw(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _part(facts: dict[str, Any]) -> str:
    return _raw(json.dumps(facts).encode())


def _forged(provider: Provider, stranger: Provider, kind: str) -> str:
    """Return a token that must not be accepted."""
    claims = provider.claims()
    public = (
        provider.keys["one"]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    good = provider.token("one")
    head, body, signature = good.split(".")
    match kind:
        case "alg none":
            return f"{_part({'alg': 'none', 'kid': 'one'})}.{body}."
        case "the public key as a secret":
            signed = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{body}"
            return f"{signed}.{_raw(hmac.digest(public, signed.encode(), 'sha256'))}"
        case "another signer":
            return jwt.encode(claims, stranger.keys["one"], "RS256", {"kid": "one"})
        case "a signer that it brings along":
            own = json.loads(stranger.answer("/shop/keys") or b"")["keys"][0]
            return jwt.encode(claims, stranger.keys["one"], "RS256", {"kid": "one", "jwk": own})
        case "changed claims":
            return f"{head}.{_part(provider.claims(roles=['admin']))}.{signature}"
        case "no key id":
            return jwt.encode(claims, provider.keys["one"], "RS256")
        case "an algorithm that is not allowed":
            return jwt.encode(claims, provider.keys["one"], "RS512", {"kid": "one"})
        case "an unknown key id":
            return jwt.encode(claims, stranger.keys["one"], "RS256", {"kid": "three"})
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "alg none",
        "the public key as a secret",
        "another signer",
        "a signer that it brings along",
        "changed claims",
        "no key id",
        "an algorithm that is not allowed",
        "an unknown key id",
    ],
)
def test_a_forged_token_is_rejected(provider: Provider, kind: str) -> None:
    with Provider() as stranger:
        stranger.add_rsa("one")
        token = _forged(provider, stranger, kind)
    with pytest.raises(Unauthenticated):
        role_of(Tokens(settings(provider)), token)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": 2**40},
        {"iat": 2**40},
        {"exp": "never"},
        {"aud": ["another", "and another"]},
        {"sub": None},
        {"sub": "a b"},
        {"sub": "x" * 201},
    ],
)
def test_a_token_for_somebody_else_or_another_time_is_rejected(
    provider: Provider, changes: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        role_of(Tokens(settings(provider)), provider.token("one", **changes))


# A head nested so deep that Python's reader gives up: once a 500.
DEEP = base64.urlsafe_b64encode(b'{"kid":' + b"[" * 40_000).decode().rstrip("=") + ".e30.x"


@pytest.mark.parametrize(
    "text", ["e.y.", "ey..", "ey.a.b", "eyJhbGciOiJSUzI1NiJ9.e30.x", "ey\xff..", DEEP]
)
def test_an_invalid_token_is_rejected(provider: Provider, text: str) -> None:
    with pytest.raises(Unauthenticated):
        role_of(Tokens(settings(provider)), text)


@pytest.mark.parametrize(
    ("changes", "claims", "role"),
    [
        ({}, {"roles": ["read", "import", "other"]}, "import"),
        ({}, {"roles": "read write"}, "write"),
        ({}, {"roles": []}, "public"),
        ({}, {"roles": None}, "public"),
        ({}, {"roles": {"admin": True}}, "public"),
        ({}, {"roles": [["admin"], 7]}, "public"),
        (
            {"oidc_roles_claim": "realm_access.roles"},
            {"realm_access": {"roles": ["admin"]}},
            "admin",
        ),
        ({"oidc_roles_claim": "realm_access.roles"}, {"realm_access": ["admin"]}, "public"),
        ({"oidc_roles": (("boss", "admin"),)}, {"roles": ["boss"]}, "admin"),
    ],
)
def test_roles_come_from_the_claim_that_settings_name(
    provider: Provider, changes: dict[str, Any], claims: dict[str, Any], role: str
) -> None:
    checked = Tokens(settings(provider, **changes))
    assert role_of(checked, provider.token("one", **claims))[1] == role


def test_the_key_set_is_cached_and_a_rotated_key_is_found(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = Tokens(settings(provider))

    async def run() -> None:
        for _ in range(20):
            await checked.caller(provider.token("one"))
        assert provider.reads == 1
        provider.add_rsa("new")
        with pytest.raises(Unauthenticated):
            await checked.caller(provider.token("new"))
        assert provider.reads == 1, "made-up key ids must not make the provider's load"
        monkeypatch.setattr(tokens, "MIN_SECONDS_BETWEEN_READS", 0.0)
        await checked.caller(provider.token("new"))
        assert provider.reads == 2
        # A key that the provider has dropped is dropped here with the next reading.
        old = provider.token("one")
        del provider.keys["one"]
        monkeypatch.setattr(tokens, "FRESH_SECONDS", 0.0)
        assert await is_refused_in_time(checked, old)

    asyncio.run(run())


async def is_refused_in_time(checked: Tokens, token: str) -> bool:
    """Tell whether a token that was good is rejected within seconds."""
    async with asyncio.timeout(20):
        while True:
            try:
                await checked.caller(token)
            except Unauthenticated:
                return True
            await asyncio.sleep(0.02)


@pytest.mark.alone
def test_a_provider_that_is_away_is_not_missed_for_an_hour(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = Tokens(settings(provider))
    token = provider.token("one")
    monkeypatch.setattr(tokens, "MIN_SECONDS_BETWEEN_READS", 0.0)
    monkeypatch.setattr(tokens, "FRESH_SECONDS", 0.0)

    async def run() -> None:
        await checked.caller(token)
        provider.is_away = True
        await checked.caller(token)
        monkeypatch.setattr(tokens, "STALE_SECONDS", 0.0)
        with pytest.raises(Unavailable):
            await checked.caller(token)

    began = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - began < 20


def test_an_issuer_needs_an_audience() -> None:
    for half in ({"oidc_issuer": "https://login.example"}, {"oidc_audience": "storelog"}):
        with pytest.raises(BadSetting):
            Tokens(Settings(**half))  # type: ignore[arg-type]
