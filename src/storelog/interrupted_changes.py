"""Undoes or completes an interrupted change of the read side, on all servers.

`storelog migrate` does it, and with it `storelog up`, and so does each change before it begins.
While they run, the relay does the part that is in PostgreSQL, and the projector the rest.
Next: projector/receive/standstill.py
"""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
from pymongo.database import Database
from pymongo.errors import PyMongoError

from storelog import change_lock, postgres
from storelog.config import Settings
from storelog.errors import CannotRun, ReadModelUnknown
from storelog.projector.checkpoints import CHECKPOINTS
from storelog.projector.databases import promotion
from storelog.projector.databases.connection import PATIENT_SECONDS, connect, pointer_of, sibling
from storelog.projector.databases.kept import drop_older
from storelog.reasons import reason
from storelog.relay.cursor import lane_ends, set_lanes

_LANES = "SELECT cardinality(lanes) FROM relay_cursor"


async def settle_changes(settings: Settings) -> int:
    """Settle what was interrupted, unless a change is under way; return the number of lanes.

    Raises CannotRun, asyncpg errors, OSError.
    """
    connection = await postgres.connect(settings.postgres_url, timeout=10, command_timeout=60)
    home = connect(settings, look_seconds=PATIENT_SECONDS)
    try:
        if await change_lock.is_taken(connection):
            # A damaged pointer is no interrupted change; the commands that need it report it.
            with suppress(ReadModelUnknown):
                await settle_all(connection, home)
        lanes: int = await connection.fetchval(_LANES)
        return lanes
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {reason(error)}") from error
    finally:
        connection.terminate()
        home.client.close()


async def settle_all(connection: asyncpg.Connection, home: Database[dict[str, Any]]) -> None:
    """Settle what was interrupted; the caller holds the lock. Raises PyMongoError."""
    await _settle_lanes(connection, home)
    lanes = await connection.fetchval(_LANES)
    pointer = await asyncio.to_thread(pointer_of, home)
    if pointer.promoting is not None:
        await asyncio.to_thread(promotion.settle, home, pointer.promoting, lanes)
    await asyncio.to_thread(promotion.let_go, home)
    if (await asyncio.to_thread(pointer_of, home)).has_older:
        await asyncio.to_thread(drop_older, home)


async def _settle_lanes(connection: asyncpg.Connection, home: Database[dict[str, Any]]) -> None:
    row = await connection.fetchrow(
        "SELECT cardinality(lanes) AS lanes, lanes_wanted AS wanted, position, epoch"
        " FROM relay_cursor"
    )
    if row is None or row["wanted"] is None:
        return
    active = sibling(home, (await asyncio.to_thread(pointer_of, home)).database)
    there = await asyncio.to_thread(active[CHECKPOINTS].count_documents, {})
    if there == row["wanted"] > row["lanes"]:
        # Earlier versions moved the pointer first: only the row was left to move.
        ends = await lane_ends(connection, row["position"], row["wanted"])
        await set_lanes(connection, ends, row["wanted"], row["epoch"])
    else:
        await change_lock.take_back_lanes(connection)
