"""How far behind the read side is: written in the log, relayed to Kafka, projected into MongoDB."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from pymongo.errors import PyMongoError

from storelog import postgres
from storelog.config import Settings
from storelog.errors import CannotRun, StorelogError
from storelog.projector.checkpoints import CHECKPOINTS
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.receive.foreign import FOREIGN, NOT_KEPT
from storelog.query_service.positions.place import Place
from storelog.query_service.positions.reads import Reads
from storelog.reasons import reason

TIMEOUT_SECONDS = 5.0
# $2 and $3: projected events. A standby, read in place of the primary, may lack some of them.
_POSITIONS = """SELECT h.position AS written, c.position AS relayed,
    (SELECT extract(epoch FROM clock_timestamp() - occurred_at)::float8
     FROM events WHERE position = $1 + 1) AS seconds,
    coalesce(c.ahead_position, 0) AS ahead,
    NOT pg_is_in_recovery() AND (c.ahead_position IS NOT NULL OR EXISTS (
        SELECT FROM unnest($2::bigint[], $3::bytea[]) AS projected (position, hash)
        LEFT JOIN events e USING (position) WHERE e.hash IS DISTINCT FROM projected.hash
    )) AS lacks
    FROM log_head h, relay_cursor c"""


@dataclass(frozen=True, slots=True)
class Lag:
    """Positions, and the distance between the first and the last; seconds since the oldest.

    `dead_letters`: events that the read model lacks. `foreign`: records on the topics that the
    relay did not send, and that were not discarded. `is_log_behind`: the log lacks events that were
    relayed or projected; `events_ahead`: how many of them lie beyond its end.
    """

    written: int
    relayed: int
    projected: int
    events_behind: int
    seconds_behind: float
    dead_letters: int
    foreign: int = 0
    is_log_behind: bool = False
    events_ahead: int = 0

    def facts(self) -> dict[str, Any]:
        """Return the lag as the contract shows it, with two more members if the log is behind."""
        facts = asdict(self)
        if not self.is_log_behind:
            del facts["is_log_behind"], facts["events_ahead"]
        return facts


async def read_lag(settings: Settings) -> Lag:
    """Return the lag now. Raises CannotRun when a server is away."""
    if settings.postgres_url is None:
        raise CannotRun("STORELOG_POSTGRES_URL names no server, and no `storelog up` runs here")
    try:
        # The read side first: events written meanwhile count as lag. The other order could show
        # a read side that is ahead of the log.
        read_side = await _read_read_side(settings)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _compare(settings.postgres_url, read_side)
    except postgres.FAILURES as error:
        raise CannotRun(f"PostgreSQL does not respond: {reason(error)}") from error


async def read_place(settings: Settings) -> Place:
    """Return how far the read model is. Raises CannotRun when MongoDB is away."""
    reads = Reads(settings)
    try:
        return (await reads.view()).place
    except (PyMongoError, StorelogError) as error:
        raise CannotRun(f"MongoDB does not respond: {reason(error)}") from error
    finally:
        await reads.close()


@dataclass(frozen=True, slots=True)
class _ReadSide:
    """How far the read model is, how many foreign records there were, each lane's last event."""

    place: Place
    foreign: int
    ends: dict[int, str]


async def _read_read_side(settings: Settings) -> _ReadSide:
    reads = Reads(settings)
    try:
        view = await reads.view()
        letters = view.database[DEAD_LETTERS]
        kept = await letters.count_documents({"state": FOREIGN})
        beyond = await letters.find({"state": NOT_KEPT}, {"records": 1}).to_list()
        foreign = kept + sum(int(counted["records"]) for counted in beyond)
        lanes = await view.database[CHECKPOINTS].find({}, {"position": 1, "hash": 1}).to_list()
        ends = {int(lane["position"]): lane["hash"] for lane in lanes if lane["position"]}
        return _ReadSide(view.place, foreign, ends)
    except (PyMongoError, StorelogError) as error:
        raise CannotRun(f"MongoDB does not respond: {reason(error)}") from error
    finally:
        await reads.close()


async def active_database(settings: Settings) -> str:
    """Return the name of the database that is the read model. Raises CannotRun."""
    reads = Reads(settings)
    try:
        return (await reads.resolve()).name
    except (PyMongoError, StorelogError) as error:
        raise CannotRun(f"MongoDB does not respond: {reason(error)}") from error
    finally:
        await reads.close()


async def _compare(postgres_url: str, read_side: _ReadSide) -> Lag:
    place, ends = read_side.place, read_side.ends
    connection = await postgres.connect(postgres_url, timeout=TIMEOUT_SECONDS, is_writing=False)
    try:
        row = await connection.fetchrow(
            _POSITIONS, place.position, list(ends), [bytes.fromhex(each) for each in ends.values()]
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
        read_side.foreign,
        row["lacks"],
        max(0, max(*ends, row["ahead"], row["written"]) - row["written"]) if row["lacks"] else 0,
    )
