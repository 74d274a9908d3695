"""Reads the API keys' newest set from MongoDB, where the projector keeps it.

It is in the database that the URI names, whichever read model is active. If the set is missing, or
this shop's relay has not signed it, no key is accepted.
Next: web/keyring.py
"""

from typing import Any

import pymongo
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import PyMongoError

from storelog.api_keys import COLLECTION, KeySet
from storelog.config import Settings
from storelog.errors import Unavailable
from storelog.key_sets import BOTH, of_documents
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
        """Return the current set. Raises Unavailable, also where none is proven."""
        try:
            with pymongo.timeout(READ_SECONDS):
                found = await self._collection.find(BOTH).to_list()
        except PyMongoError as error:
            raise Unavailable("MongoDB is away or too busy.") from error
        signed = of_documents(found)
        if signed is None:
            raise Unavailable("MongoDB has no set of API keys that this shop's relay has signed.")
        return signed.known

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()
