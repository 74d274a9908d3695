"""What one request reads: a database, and how far its documents were when the request began.

Next: query_service/positions.py
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from storelog.read_side import IDS_AT_ONCE

Document = dict[str, Any]


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


def place_of(checkpoints: list[Document]) -> Place:
    """Return the place that the lanes' checkpoints make together."""
    lanes = checkpoints[0]["lanes"] if checkpoints else 0
    # A lane that has no checkpoint yet has nothing: then nothing is sure.
    is_whole = bool(checkpoints) and len(checkpoints) == lanes
    orders = [lane for lane in checkpoints if lane["newestOrder"] is not None]
    return Place(
        min(int(lane["safe"]) for lane in checkpoints) if is_whole else 0,
        sum(int(lane["deadLetters"]) for lane in checkpoints),
        max((int(lane["highestCustomer"]) for lane in checkpoints), default=0),
        max((int(lane["highestProduct"]) for lane in checkpoints), default=0),
        min((lane["oldestOrder"] for lane in orders), default=None),
        max((lane["newestOrder"] for lane in orders), default=None),
    )


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a request reads, it reads through its one view."""

    database: AsyncDatabase[Document]
    place: Place

    def collection(self, name: str) -> Any:
        """Return a collection to read."""
        return self.database[name]

    async def one(self, collection: str, number: int) -> Document | None:
        """Return a document, unless it is missing or deleted."""
        found: Document | None = await self.database[collection].find_one({"_id": number})
        return None if found is None or found["deleted"] else found

    async def raw(self, collection: str, ids: Iterable[Any]) -> dict[Any, Document]:
        """Return documents as they are now, whatever moment the view is of."""
        return await self.many(collection, ids)

    async def many(
        self, collection: str, ids: Iterable[Any], projection: Mapping[str, int] | None = None
    ) -> dict[Any, Document]:
        """Return the documents of these ids, deleted ones too."""
        wanted = list(dict.fromkeys(ids))
        documents: dict[Any, Document] = {}
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = {"_id": {"$in": wanted[start : start + IDS_AT_ONCE]}}
            async for document in self.database[collection].find(some, projection):
                documents[document["_id"]] = document
        return documents
