"""How the Query Service reads MongoDB: the position first, the documents after it.

In this order the documents include at least everything up to the position. Both come from the
primary. A request opens one view and reads everything through it. A server that does not respond is
noticed within a second.
Next: query_service/positions/view.py
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.errors import ReadModelUnknown, Unavailable
from storelog.query_service.paging.ends import Ends
from storelog.query_service.positions.names import KnownNames
from storelog.query_service.positions.place import place_of
from storelog.query_service.positions.view import Document, View
from storelog.query_service.positions.watch import Condition, Positions, start_shared
from storelog.read_models.shapes import SHAPES, Shapes, shapes_of
from storelog.read_side import POINTER_ID, POINTERS, database_name, mongodb_uri, read_pointer
from storelog.web.clock import LogClock

CONNECTIONS = 50
SELECT_SECONDS = 0.8
CONNECT_SECONDS = 5.0
POSITION_SECONDS = 0.9
READ_SECONDS = 10.0
LEARN_SECONDS = 0.5
# For this long after a promotion, a request may still read the previous model, which stands still.
POINTER_SECONDS = 0.25
# Shapes change with a promotion, and when an older projector stops filling a read model.
SHAPES_SECONDS = 2.0
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=True)


class Reads:
    """A Query Service process's client of MongoDB; reads wait for positions at `positions`.

    `clock`: learns PostgreSQL's time from the positions; a new one unless it is given.
    """

    def __init__(
        self,
        settings: Settings,
        connections: int = CONNECTIONS,
        clock: LogClock | None = None,
    ) -> None:
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(
            mongodb_uri(settings),
            appname="storelog query-service",
            serverSelectionTimeoutMS=int(SELECT_SECONDS * 1000),
            # Also the driver's limit for a busy server's response to its regular check.
            connectTimeoutMS=int(CONNECT_SECONDS * 1000),
            maxPoolSize=connections,
            waitQueueTimeoutMS=1_000,
        )
        self._home = self._open(database_name(settings))
        self._active = self._home
        self._look_at = 0.0
        self._shapes: Shapes = {}
        self._shapes_name, self._look_at_shapes = "", 0.0
        self._reading: asyncio.Task[View] | None = None
        self._known, self._ends = KnownNames(), Ends()
        self.positions = Positions(self.view)
        self.clock = clock or LogClock()

    def _open(self, name: str) -> AsyncDatabase[Document]:
        return self._client.get_database(
            name, codec_options=_OPTIONS, read_preference=ReadPreference.PRIMARY
        )

    async def resolve(self) -> AsyncDatabase[Document]:
        """Return the database of the active read model. Raises PyMongoError."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_at:
            found = await self._home[POINTERS].find_one({"_id": POINTER_ID})
            try:
                self._active = self._open(read_pointer(found, self._home.name).database)
            except ReadModelUnknown as error:
                raise Unavailable("MongoDB does not say where the read model is.") from error
            self._look_at = now + POINTER_SECONDS
        return self._active

    async def close(self) -> None:
        """End all waiting reads, and close the connections."""
        await self.positions.close()
        await self._client.close()

    async def view(self) -> View:
        """Open a view of the present; concurrent requests share one reading.

        A request joins a reading only while it is under way, so positions of successive reads never
        go back. Raises PyMongoError within a second.
        """
        if self._reading is None or self._reading.done():
            self._reading = start_shared(self._read())
        return await asyncio.shield(self._reading)

    async def learn_time(self) -> None:
        """Read the watermarks' times, even without requests, until the clock is sure."""
        while not self.clock.is_sure:
            with suppress(PyMongoError):
                await self.view()
            await asyncio.sleep(LEARN_SECONDS)

    async def reached(self, is_reached: Condition, seconds: float) -> View:
        """Return the first view whose place meets the condition, or the newest after `seconds`.

        The newest may meet the condition too. Raises Unavailable, PyMongoError.
        """
        return await self.positions.wait_until(is_reached, seconds) or await self.view()

    async def _shapes_of(self, database: AsyncDatabase[Document]) -> Shapes:
        """Return the shapes of the read models, at most SHAPES_SECONDS old."""
        now = asyncio.get_running_loop().time()
        if database.name != self._shapes_name or now >= self._look_at_shapes:
            self._shapes = shapes_of(await database[SHAPES].find({}).to_list())
            self._shapes_name, self._look_at_shapes = database.name, now + SHAPES_SECONDS
        return self._shapes

    async def _read(self) -> View:
        """Read the active database's checkpoints; every view comes from here."""
        with pymongo.timeout(POSITION_SECONDS):
            database = await self.resolve()
            found = await database["checkpoints"].find({}).to_list()
            shapes = await self._shapes_of(database)
        place = replace(place_of(found), shapes=shapes)
        if place.clock is not None:
            self.clock.saw(place.clock)
        return View(database, place, self._known, self._ends)


@asynccontextmanager
async def reading_mongodb(wait_seconds: float = 0.0) -> AsyncIterator[None]:
    """Limit the time of a request's reads, and turn errors of MongoDB into Unavailable.

    `wait_seconds`: how long the request may wait for its position, in addition.
    """
    try:
        with pymongo.timeout(READ_SECONDS + wait_seconds):
            yield
    except PyMongoError as error:
        raise Unavailable("MongoDB is away or too busy.") from error
