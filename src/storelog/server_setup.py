"""Makes the three servers ready: PostgreSQL's schema, Kafka's topics, MongoDB's indexes.

Safe to repeat, and safe to run twice at once.
Next: migrations/__init__.py
"""

import asyncio
from dataclasses import dataclass

import asyncpg

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.migrations import migrate
from storelog.origin import Origin, public_key
from storelog.projector import shapes
from storelog.projector.database import ensure_indexes
from storelog.relay.topics import ensure_topics


@dataclass(frozen=True, slots=True)
class SetUp:
    """`lanes`: how many there are. `advice`: what is left to do, by the command that does it."""

    lanes: int
    advice: list[str]


async def set_up_servers(settings: Settings) -> SetUp:
    """Set everything up. Raises CannotRun, asyncpg errors, OSError."""
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    lanes, wanted = await migrate(settings.postgres_url, settings.kafka_lanes)
    await asyncio.to_thread(ensure_topics, settings, lanes, wanted)
    origin = await _read_origin(settings.postgres_url)
    is_current = await asyncio.to_thread(ensure_indexes, settings, origin)
    return SetUp(lanes, [] if is_current else [shapes.ADVICE])


async def _read_origin(postgres_url: str) -> Origin:
    """Return by what the read side tells this shop's records and sets of keys."""
    connection = await asyncpg.connect(postgres_url, timeout=10, command_timeout=60)
    try:
        row = await connection.fetchrow(
            "SELECT signer, proven_from FROM api_key_sets, relay_cursor"
        )
        return Origin(public_key(row["signer"]), row["proven_from"])
    finally:
        await connection.close()
