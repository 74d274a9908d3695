"""The keyring: it ends when its service does, and goes back to no earlier set of keys."""

import asyncio
from contextlib import suppress

import pytest

from storelog.api_keys import KeySet
from storelog.setting_types import ApiKey
from storelog.web import keyring
from storelog.web.keyring import Keyring


def test_a_driver_that_swallows_a_cancellation_does_not_hold_up_the_end() -> None:
    assert asyncio.run(_swallowed_until_stopped()) == 2


async def _swallowed_until_stopped() -> int:
    swallowed, under_way = 0, asyncio.Event()

    async def read() -> KeySet:
        nonlocal swallowed
        if ring.is_empty:
            under_way.set()
            while swallowed < 2:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)
                swallowed += 1
        return KeySet()

    ring = Keyring((), read)
    await ring.start()
    await asyncio.wait_for(under_way.wait(), 10)
    await asyncio.wait_for(ring.stop(), 10)
    return swallowed


def test_a_server_that_comes_back_empty_or_older_brings_no_key_back_and_opens_nothing() -> None:
    till = ApiKey("till", "admin", "a" * 64)
    older, newer = KeySet((till,), is_used=True, version=1), KeySet((), is_used=True, version=2)

    async def run() -> None:
        sets = [newer, KeySet(), older]
        left = iter(sets)

        async def read() -> KeySet:
            return next(left)

        ring = Keyring((), read)
        for _ in sets:
            await ring._refresh(read)
            assert not ring.is_empty
            assert not ring._by_start

    asyncio.run(run())


def test_a_set_of_the_right_signer_takes_the_place_of_a_later_one_of_another() -> None:
    """Else a set that was believed by mistake would hold for as long as the service runs."""
    till = ApiKey("till", "admin", "a" * 64)
    forged = KeySet((till,), is_used=True, version=2**60, signer="stranger")
    right = KeySet((), is_used=True, version=1, signer="shop")

    async def run() -> None:
        left = iter([forged, right, KeySet((till,), is_used=True, signer="shop")])

        async def read() -> KeySet:
            return next(left)

        ring = Keyring((), read)
        await ring._refresh(read)
        assert ring._by_start
        for _ in range(2):
            await ring._refresh(read)
            assert not ring._by_start

    asyncio.run(run())


def test_a_set_that_cannot_be_read_at_all_does_not_end_the_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a damaged document would keep a revoked key for as long as the service runs."""
    monkeypatch.setattr(keyring, "POLL_SECONDS", 0.01)
    till = ApiKey("till", "admin", "a" * 64)
    damaged, last = KeyError("keys"), KeySet((), is_used=True, version=2)
    known = KeySet((till,), is_used=True, version=1)
    sets: list[KeyError | KeySet] = [damaged, known, damaged, last]

    async def run() -> None:
        left, are_read = iter(sets), asyncio.Event()

        async def read() -> KeySet:
            found = next(left, None)
            if found is None:
                are_read.set()
                return last
            if isinstance(found, KeyError):
                raise found
            return found

        ring = Keyring((), read)
        await ring.start()
        assert not ring.is_empty
        await asyncio.wait_for(are_read.wait(), 10)
        assert not ring._by_start
        await ring.stop()

    asyncio.run(run())
