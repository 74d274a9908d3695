"""Gives signs of life while a promotion holds the lanes still, so that a dead one is soon ended.

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
    """Give signs of life while the block holds the lanes still."""

    async def give_signs() -> None:
        # If MongoDB takes none, the promotion is ended as a dead one's; its switch then reports
        # that.
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
