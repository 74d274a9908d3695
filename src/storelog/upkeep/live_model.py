"""Compares the live read model with a new one, once the live one is as far.

Waits for the live one only while it may still come that far. Also tells whether a read model is of
a history that the log has left.
Next: upkeep/compare.py
"""

import asyncio
import time
from typing import Any

import asyncpg
from pymongo.database import Database

from storelog.projector.checkpoints import CHECKPOINTS, number_of_lanes
from storelog.relay.cursor import hash_at
from storelog.upkeep.compare import compare
from storelog.upkeep.sources import Progress
from storelog.verify.report import Report

# How long to wait for the live one in all, and without any progress.
LIVE_WAIT_SECONDS, LIVE_STANDS_SECONDS = 60.0, 20.0
Document = dict[str, Any]


def position_of(database: Database[Document]) -> int:
    """Return the position that responses from this read model name."""
    lanes = [int(place["safe"]) for place in database[CHECKPOINTS].find({})]
    return min(lanes, default=0)


async def other_event(connection: asyncpg.Connection, database: Database[Document]) -> int | None:
    """Return a position at which a read model holds another event than the log, None for none.

    Such a read model is of a history that the log has left. Raises PyMongoError, PostgresError.
    """
    for place in await asyncio.to_thread(lambda: list(database[CHECKPOINTS].find({}))):
        kept = await hash_at(connection, int(place["position"]))
        if place["position"] and (kept is None or kept.hex() != place["hash"]):
            return int(place["position"])
    return None


def may_follow(live: Database[Document], lanes: int, *, is_promoting: bool) -> bool:
    """Tell whether the live read model may still move on.

    One with another number of lanes is not written until a promotion. An empty one may not have
    been begun yet, but a promotion that is about to replace it does not wait for that.
    """
    known = number_of_lanes(live)
    return known == lanes or (known == 0 and not is_promoting)


async def compare_with_live(
    built: Database[Document],
    live: Database[Document],
    position: int,
    progress: Progress,
    *,
    is_waiting: bool,
) -> Report:
    """Return the live read model's differences, once it holds the position, or that it does not.

    Raises PyMongoError.
    """
    began = moved_at = time.monotonic()
    last = -1
    while (at := await asyncio.to_thread(position_of, live)) < position:
        now = time.monotonic()
        last, moved_at = at, now if at != last else moved_at
        is_late = now - began > LIVE_WAIT_SECONDS or now - moved_at > LIVE_STANDS_SECONDS
        # It will not come this far: report that, and not documents that it merely lacks yet.
        if is_late or not is_waiting:
            report = Report(position)
            report.differ("mongodb.checkpoints", "all lanes", "position", position, at)
            return report
        progress("live", at, position)
        await asyncio.sleep(0.25)
    return await asyncio.to_thread(compare, built, live, position)
