"""How the Query Service reads MongoDB: the position first, the documents after it.

Both come from the primary. A server that does not answer is noticed within a second.
Next: query_service/lists.py
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import PyMongoError

from storelog.config import Settings
from storelog.errors import Unavailable
from storelog.read_side import IDS_AT_ONCE, database_name, mongodb_uri

SELECT_SECONDS = 0.8
POSITION_SECONDS = 0.9
READ_SECONDS = 10.0
Document = dict[str, Any]
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=True)


@dataclass(frozen=True, slots=True)
class Place:
    """How far the read model is, and where its documents end."""

    position: int = 0
    dead_letters: int = 0
    highest_customer: int = 0
    highest_product: int = 0
    oldest_order: datetime | None = None
    newest_order: datetime | None = None

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return what every answer says of its freshness."""
        position = ("Storelog-Position", str(self.position))
        if not self.dead_letters:
            return (position,)
        return (position, ("Storelog-Dead-Letters", str(self.dead_letters)))


class Reads:
    """The one client of a Query Service process."""

    def __init__(self, settings: Settings) -> None:
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(
            mongodb_uri(settings),
            appname="storelog query-service",
            serverSelectionTimeoutMS=int(SELECT_SECONDS * 1000),
            connectTimeoutMS=int(SELECT_SECONDS * 1000),
            maxPoolSize=50,
            waitQueueTimeoutMS=1_000,
        )
        self._database = self._client.get_database(
            database_name(settings), codec_options=_OPTIONS, read_preference=ReadPreference.PRIMARY
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def collection(self, name: str) -> Any:
        """Return a collection to read."""
        return self._database[name]

    async def place(self) -> Place:
        """Return how far the read model is. Raises Unavailable within a second."""
        with pymongo.timeout(POSITION_SECONDS):
            found = await self._database["checkpoints"].find({}).to_list()
        lanes = found[0]["lanes"] if found else 0
        # A lane that has no checkpoint yet has nothing: then nothing is sure.
        is_whole = len(found) == lanes
        orders = [lane for lane in found if lane["newestOrder"] is not None]
        return Place(
            min(int(lane["safe"]) for lane in found) if found and is_whole else 0,
            sum(int(lane["deadLetters"]) for lane in found),
            max((int(lane["highestCustomer"]) for lane in found), default=0),
            max((int(lane["highestProduct"]) for lane in found), default=0),
            min((lane["oldestOrder"] for lane in orders), default=None),
            max((lane["newestOrder"] for lane in orders), default=None),
        )

    async def one(self, collection: str, number: int) -> Document | None:
        """Return a document, unless it is missing or deleted."""
        found: Document | None = await self._database[collection].find_one({"_id": number})
        return None if found is None or found["deleted"] else found

    async def many(
        self, collection: str, ids: Iterable[int], projection: Mapping[str, int] | None = None
    ) -> dict[int, Document]:
        """Return the documents of these ids, deleted ones too."""
        wanted = list(dict.fromkeys(ids))
        documents: dict[int, Document] = {}
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = {"_id": {"$in": wanted[start : start + IDS_AT_ONCE]}}
            async for document in self._database[collection].find(some, projection):
                documents[document["_id"]] = document
        return documents


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Give MongoDB's errors their name: whatever it is, the server behind did not answer."""
    try:
        with pymongo.timeout(READ_SECONDS):
            yield
    except PyMongoError as error:
        raise Unavailable("MongoDB is away or too busy.") from error
