"""Prepares the three servers: PostgreSQL's schema, Kafka's topics, MongoDB's indexes and keys.

An interrupted change of the read side is undone or completed first. Safe to repeat, and safe to run
twice at once.
Next: migrations/__init__.py
"""

import asyncio
from dataclasses import dataclass, field

from pymongo.errors import PyMongoError

from storelog import postgres
from storelog.api_keys import read_announced
from storelog.config import Settings
from storelog.errors import CannotRun
from storelog.interrupted_changes import settle_changes
from storelog.key_sets import SignedSet, keep_set, sign_set
from storelog.log_history import ALL, LogHistory
from storelog.migrations import migrate
from storelog.origin import Origin, keep_origin, public_key
from storelog.projector.databases.connection import PATIENT_SECONDS, connect, ensure_indexes
from storelog.reasons import reason
from storelog.relay.topics import ensure_topics

_HAS_DATES = "SELECT EXISTS (SELECT FROM orders WHERE order_date = '-infinity')"
DATES = (
    "PostgreSQL has the date -infinity where the log has the first moment of the year 1:"
    " `storelog rebuild --state-tables` writes the table as the log says"
)


@dataclass(frozen=True, slots=True)
class SetUp:
    """`lanes`: how many there are. `advice`: what is left to do, by the command that does it.

    `warnings`: what servers lack, though they can be used.
    """

    lanes: int
    advice: list[str]
    warnings: list[str] = field(default_factory=list)


async def set_up_servers(settings: Settings) -> SetUp:
    """Set everything up. Raises CannotRun, asyncpg errors, OSError."""
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    await migrate(settings.postgres_url, settings.kafka_lanes)
    # Before the topics, since an interrupted change decides how many lanes there are.
    lanes = await settle_changes(settings)
    of_topics = await asyncio.to_thread(ensure_topics, settings, lanes)
    advice, warnings = await asyncio.to_thread(ensure_indexes, settings)
    await asyncio.to_thread(_bring_keys, settings, *await _read_keys(settings.postgres_url))
    dates = await _date_advice(settings.postgres_url)
    return SetUp(lanes, advice if dates is None else [*advice, dates], [*of_topics, *warnings])


async def _date_advice(postgres_url: str) -> str | None:
    """Return what to do about dates that the driver of an older release wrote."""
    connection = await postgres.connect(postgres_url, timeout=10, command_timeout=60)
    try:
        return DATES if await connection.fetchval(_HAS_DATES) else None
    finally:
        await connection.close()


async def _read_keys(postgres_url: str) -> tuple[Origin, SignedSet]:
    """Return what proves this shop's records and sets of keys, and the current set."""
    connection = await postgres.connect(postgres_url, timeout=10, command_timeout=60)
    try:
        known, secret = await read_announced(connection)
        proven_from = await connection.fetchval("SELECT proven_from FROM relay_cursor")
        histories = [LogHistory(*row) for row in await connection.fetch(ALL)]
        return Origin(public_key(secret), proven_from, histories), sign_set(known, secret)
    finally:
        await connection.close()


def _bring_keys(settings: Settings, origin: Origin, signed: SignedSet) -> None:
    """Bring both to MongoDB; a newer set that is there stays. Raises CannotRun."""
    home = connect(settings, look_seconds=PATIENT_SECONDS)
    try:
        keep_origin(home, origin)
        keep_set(home, signed, origin)
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {reason(error)}") from error
    finally:
        home.client.close()
