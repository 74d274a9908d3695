"""Makes the three servers ready: PostgreSQL's schema, Kafka's topics, MongoDB's indexes.

Safe to repeat, and safe to run twice at once.
Next: migrations/__init__.py
"""

import asyncio

from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.migrations import migrate
from storelog.projector.database import ensure_indexes
from storelog.relay.topics import ensure_topics


async def set_up_servers(settings: Settings) -> int:
    """Set everything up; return the number of lanes. Raises CannotRun, asyncpg errors, OSError."""
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    lanes, wanted = await migrate(settings.postgres_url, settings.kafka_lanes)
    await asyncio.to_thread(ensure_topics, settings, lanes, wanted)
    await asyncio.to_thread(ensure_indexes, settings)
    return lanes
