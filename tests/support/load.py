"""Many orders at once over HTTP, and what came of each."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp


def place_orders(
    urls: Sequence[str], bodies: Sequence[Any], connections: int, *, seconds: float = 60
) -> tuple[Counter[int], list[dict[str, Any]]]:
    """Send each body once, to the services in turn; return the statuses and bodies."""

    async def run() -> tuple[Counter[int], list[dict[str, Any]]]:
        statuses: Counter[int] = Counter()
        answers: list[dict[str, Any]] = []
        left = list(enumerate(bodies))
        connector = aiohttp.TCPConnector(limit=connections)
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def work() -> None:
                while left:
                    number, body = left.pop()
                    url = urls[number % len(urls)]
                    async with session.post(f"{url}/orders", json=body) as reply:
                        statuses[reply.status] += 1
                        answers.append(await reply.json(content_type=None))

            await asyncio.gather(*(work() for _ in range(connections)))
        return statuses, answers

    return asyncio.run(run())
