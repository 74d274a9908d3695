"""The key set of an OpenID provider: a hanging one stalls no request; keys check what fits them."""

import asyncio
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from storelog.errors import Unauthenticated, Unavailable
from storelog.web import tokens
from storelog.web.tokens import Tokens
from support.provider import Provider, role_of, settings


@pytest.mark.alone
def test_a_hanging_provider_delays_no_caller_whose_key_is_cached(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = Tokens(settings(provider))
    token = provider.token("one")
    monkeypatch.setattr(tokens, "MIN_SECONDS_BETWEEN_READS", 0.0)
    monkeypatch.setattr(tokens, "FRESH_SECONDS", 0.0)

    async def run() -> None:
        await checked.caller(token)
        provider.answers.clear()
        for _ in range(20):
            began = time.monotonic()
            await checked.caller(token)
            assert time.monotonic() - began < tokens.READ_SECONDS / 3

    asyncio.run(run())


@pytest.mark.alone
def test_an_unknown_key_id_makes_only_itself_wait_and_not_for_long(provider: Provider) -> None:
    checked = Tokens(settings(provider))
    with Provider() as stranger:
        stranger.add_rsa("three")
        unknown = jwt.encode(provider.claims(), stranger.keys["three"], "RS256", {"kid": "three"})

    async def run() -> None:
        await checked.caller(provider.token("one"))
        checked._keys._tried_at = float("-inf")
        provider.answers.clear()
        began = time.monotonic()
        waiting = [asyncio.create_task(checked.caller(unknown)) for _ in range(50)]
        await asyncio.sleep(0)
        await checked.caller(provider.token("one"))
        assert time.monotonic() - began < tokens.READ_SECONDS / 2
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert time.monotonic() - began < tokens.READ_SECONDS + 5

    asyncio.run(run())


@pytest.mark.parametrize("trouble", ["hangs", "is away", "sends rubbish"])
def test_a_rotated_key_that_cannot_be_had_is_503_and_an_unknown_one_401(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(tokens, "READ_SECONDS", 0.5)
    monkeypatch.setattr(tokens, "MIN_SECONDS_BETWEEN_READS", 0.0)
    checked = Tokens(settings(provider))
    answer = provider.answer

    async def run() -> None:
        await checked.caller(provider.token("one"))
        made_up = provider.token("one", kid="none")
        with pytest.raises(Unauthenticated):
            await checked.caller(made_up)
        provider.add_rsa("new")
        if trouble == "hangs":
            provider.answers.clear()
        elif trouble == "is away":
            provider.is_away = True
        else:
            monkeypatch.setattr(provider, "answer", lambda _path: b"[]")
        for _ in range(2):
            with pytest.raises(Unavailable) as refused:
                await checked.caller(provider.token("new"))
            assert refused.value.retry_after_seconds
        monkeypatch.setattr(tokens, "MIN_SECONDS_BETWEEN_READS", 60.0)
        with pytest.raises(Unavailable):
            await checked.caller(provider.token("new"))
        await checked.caller(provider.token("one"))
        monkeypatch.setattr(tokens, "MIN_SECONDS_BETWEEN_READS", 0.0)
        provider.answers.set()
        provider.is_away = False
        monkeypatch.setattr(provider, "answer", answer)
        await until_accepted(checked, provider.token("new"))
        with pytest.raises(Unauthenticated):
            await checked.caller(made_up)

    asyncio.run(run())


async def until_accepted(checked: Tokens, token: str) -> None:
    """Wait until a reading that hung is over and the next has brought the key."""
    async with asyncio.timeout(20):
        while True:
            try:
                await checked.caller(token)
                return
            except Unavailable:
                await asyncio.sleep(0.02)


def test_unknown_key_ids_do_not_fill_a_service_while_the_provider_hangs(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MIN_SECONDS_BETWEEN_READS", 0.0)
    checked = Tokens(settings(provider))

    async def run() -> None:
        await checked.caller(provider.token("one"))
        provider.answers.clear()
        unknown = provider.token("one", kid="none")
        tasks = [asyncio.create_task(checked.caller(unknown)) for _ in range(500)]
        await asyncio.wait(tasks, timeout=tokens.READ_SECONDS / 2)
        assert sum(task.done() for task in tasks) == len(tasks) - tokens.MAX_WAITING
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)

    asyncio.run(run())


ALL = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384")


@pytest.mark.parametrize("algorithm", ALL)
def test_a_key_without_alg_checks_every_allowed_algorithm_of_its_type(
    provider: Provider, algorithm: str
) -> None:
    provider.add_ec("three", ec.SECP384R1())
    kid = {"ES256": "two", "ES384": "three"}.get(algorithm, "one")
    token = provider.token(kid, algorithm)
    allowing = Tokens(settings(provider, oidc_algorithms=ALL))
    assert role_of(allowing, token) == ("oidc:ann", "write")
    others = tuple(name for name in ALL if name != algorithm)
    with pytest.raises(Unauthenticated):
        role_of(Tokens(settings(provider, oidc_algorithms=others)), token)


@pytest.mark.parametrize(
    "facts", [{"alg": "RS512"}, {"use": "enc"}, {"key_ops": ["encrypt"]}, {"kty": "EC"}]
)
def test_a_key_that_is_for_something_else_checks_no_token(
    provider: Provider, facts: dict[str, Any]
) -> None:
    provider.facts = facts
    with pytest.raises(Unauthenticated):
        role_of(Tokens(settings(provider, oidc_algorithms=ALL)), provider.token("one"))


def test_a_key_of_an_unknown_type_does_not_spoil_the_set(provider: Provider) -> None:
    good = json.loads(provider.answer("/shop/keys") or b"")["keys"]
    odd = [{"kid": "one", "kty": "new"}, {"kty": "RSA"}, 7, {"kid": ["one"]}]
    provider.answer = lambda path: (  # type: ignore[method-assign]
        json.dumps({"issuer": provider.issuer, "jwks_uri": f"{provider.issuer}/keys"}).encode()
        if "openid" in path
        else json.dumps({"keys": [*odd, *good]}).encode()
    )
    assert role_of(Tokens(settings(provider)), provider.token("one")) == ("oidc:ann", "write")
