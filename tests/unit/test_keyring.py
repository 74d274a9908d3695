"""The keyring ends when its service does, whatever the driver does with a cancellation."""

import asyncio
from contextlib import suppress

from storelog.api_keys import KeySet
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
