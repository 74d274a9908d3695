"""Gives signs of life while a promotion lets the lanes stand still: a dead one is soon ended.

Next: projector/databases/promotion.py
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from storelog.projector.databases.promotion import BEAT_SECONDS, beat


@asynccontextmanager
async def beating(home: Database[dict[str, Any]], token: str) -> AsyncIterator[None]:
    """Surround what lets the lanes stand still with signs of life."""

    async def give_signs() -> None:
        # Where MongoDB takes none, the promotion is ended as if nobody lived: its switch says so.
        with suppress(PyMongoError):
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                await asyncio.to_thread(beat, home, token)

    signs = asyncio.create_task(give_signs())
    try:
        yield
    finally:
        signs.cancel()
        await asyncio.wait([signs])
