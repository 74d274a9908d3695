"""Reads the API keys' newest set from MongoDB, where the projector keeps it.

It is in the database that the URI names, whichever read model is the active one.
Next: web/keyring.py
"""

from typing import Any

import pymongo
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import PyMongoError

from storelog.api_keys import COLLECTION, DOCUMENT_ID, KeySet, from_facts
from storelog.config import Settings
from storelog.errors import Unavailable
from storelog.read_side import database_name, mongodb_uri

READ_SECONDS = 0.9


class KeyReader:
    """One connection of its own, so that a queue of queries does not hold up a revocation."""

    def __init__(self, settings: Settings) -> None:
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            mongodb_uri(settings), appname="storelog query-service keys", maxPoolSize=1
        )
        self._collection = self._client.get_database(
            database_name(settings), read_preference=ReadPreference.PRIMARY
        )[COLLECTION]

    async def read(self) -> KeySet:
        """Return the set that holds; none was ever made where there is none. Raises Unavailable."""
        try:
            with pymongo.timeout(READ_SECONDS):
                found = await self._collection.find_one({"_id": DOCUMENT_ID})
        except PyMongoError as error:
            raise Unavailable("MongoDB is away or too busy.") from error
        return KeySet() if found is None else from_facts(found)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()
