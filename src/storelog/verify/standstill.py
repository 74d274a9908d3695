"""Holds the read model still for a repair of what projectors keep in memory.

It is a promotion without a switch: the pointer announces it, projectors drop what they know of
their lanes, and load it again afterwards. A projector ends one that was abandoned. Checkpoints
count the repairs, so that Query Services read again what they keep of parts that otherwise never
change.
Next: verify/repair.py
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.projector.checkpoints import Fenced
from storelog.projector.databases.connection import PATIENT_SECONDS, connect
from storelog.projector.databases.promotion import ABANDONED_SECONDS, freeze, thaw
from storelog.read_side import POINTER_ID, POINTERS

# Projectors look at the pointer once a second.
SETTLE_SECONDS = 1.5


@asynccontextmanager
async def standstill(
    settings: Settings, database: AsyncDatabase[dict[str, Any]]
) -> AsyncIterator[None]:
    """Hold the read model still for the block, which must take less than ABANDONED_SECONDS.

    Raises CannotRun while a promotion is under way.
    """
    home = await asyncio.to_thread(connect, settings, look_seconds=PATIENT_SECONDS)
    try:
        token = await _freeze(home)
        try:
            await asyncio.sleep(SETTLE_SECONDS)
            yield
            for place in await database["checkpoints"].find({}, {"_id": 1}).to_list():
                counted = {"$inc": {"repaired": 1}}
                await database["checkpoints"].update_one({"_id": place["_id"]}, counted)
        finally:
            await asyncio.to_thread(thaw, home, token)
    finally:
        home.client.close()


async def wait_for_changes(home: AsyncDatabase[dict[str, Any]]) -> None:
    """Wait for the end of a change that holds the read model still, if it comes soon.

    Raises PyMongoError.
    """
    give_up_at = asyncio.get_running_loop().time() + 2 * ABANDONED_SECONDS
    while asyncio.get_running_loop().time() < give_up_at:
        found = await home[POINTERS].find_one({"_id": POINTER_ID}) or {}
        if not isinstance(found.get("promoting"), str):
            return
        await asyncio.sleep(0.25)


async def _freeze(home: Any) -> str:
    give_up_at = asyncio.get_running_loop().time() + 2 * ABANDONED_SECONDS
    while True:
        try:
            return await asyncio.to_thread(freeze, home)
        except Fenced as error:
            if asyncio.get_running_loop().time() > give_up_at:
                raise CannotRun(f"{error}: run `storelog verify --repair` again later") from error
            await asyncio.sleep(0.5)
