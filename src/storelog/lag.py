"""How far behind the read side is: written in the log, relayed to Kafka, projected into MongoDB."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from pymongo.errors import PyMongoError

from storelog import postgres
from storelog.config import Settings
from storelog.errors import CannotRun, StorelogError
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.dead_letters import FOREIGN
from storelog.projector.receive.foreign import NOT_KEPT
from storelog.query_service.positions.reads import Reads
from storelog.query_service.positions.view import Place
from storelog.reasons import reason

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Lag:
    """Positions, and the distance between the first and the last; seconds since the oldest.

    `dead_letters`: events that the read model lacks. `foreign`: records on the topics that are not
    the relay's, and were not discarded.
    """

    written: int
    relayed: int
    projected: int
    events_behind: int
    seconds_behind: float
    dead_letters: int
    foreign: int = 0

    def facts(self) -> dict[str, Any]:
        """Return the lag as the contract shows it."""
        return asdict(self)


async def read_lag(settings: Settings) -> Lag:
    """Return the lag now. Raises CannotRun when a server is away."""
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    try:
        # The read side first: what is written meanwhile counts as behind, never the other way.
        place, foreign = await _read_read_side(settings)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _compare(settings.postgres_url, place, foreign)
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL does not answer: {reason(error)}") from error


async def read_place(settings: Settings) -> Place:
    """Return how far the read model is. Raises CannotRun when MongoDB is away."""
    reads = Reads(settings)
    try:
        return (await reads.view()).place
    except (PyMongoError, StorelogError) as error:
        raise CannotRun(f"MongoDB does not answer: {reason(error)}") from error
    finally:
        await reads.close()


async def _read_read_side(settings: Settings) -> tuple[Place, int]:
    """Return how far the read model is, and how many foreign records there were."""
    reads = Reads(settings)
    try:
        view = await reads.view()
        letters = view.database[DEAD_LETTERS]
        kept = await letters.count_documents({"state": FOREIGN})
        beyond = await letters.find({"state": NOT_KEPT}, {"records": 1}).to_list()
        return view.place, kept + sum(int(counted["records"]) for counted in beyond)
    except (PyMongoError, StorelogError) as error:
        raise CannotRun(f"MongoDB does not answer: {reason(error)}") from error
    finally:
        await reads.close()


async def active_database(settings: Settings) -> str:
    """Return the name of the database that is the read model. Raises CannotRun."""
    reads = Reads(settings)
    try:
        return (await reads.resolve()).name
    except (PyMongoError, StorelogError) as error:
        raise CannotRun(f"MongoDB does not answer: {reason(error)}") from error
    finally:
        await reads.close()


async def _compare(postgres_url: str, place: Place, foreign: int) -> Lag:
    connection = await postgres.connect(postgres_url, timeout=TIMEOUT_SECONDS, is_writing=False)
    try:
        row = await connection.fetchrow(
            "SELECT h.position AS written, c.position AS relayed,"
            " (SELECT extract(epoch FROM clock_timestamp() - occurred_at)::float8"
            "  FROM events WHERE position = $1 + 1) AS seconds"
            " FROM log_head h, relay_cursor c",
            place.position,
        )
    finally:
        connection.terminate()
    behind = max(0, row["written"] - place.position)
    seconds = (row["seconds"] or 0.0) if behind else 0.0
    return Lag(
        row["written"],
        row["relayed"],
        place.position,
        behind,
        round(max(0.0, seconds), 3),
        place.dead_letters,
        foreign,
    )
