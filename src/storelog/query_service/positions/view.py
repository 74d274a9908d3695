"""The view of one request: a database, and the position of its documents when it began.

Next: read_models/orders/query.py
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.query_service.paging.ends import Ends
from storelog.query_service.positions.names import KnownNames
from storelog.query_service.positions.place import Place
from storelog.read_models.listed import BY_COLLECTION, DOCUMENT_MODELS
from storelog.read_side import IDS_AT_ONCE, NUMBERED
from storelog.shop.events import CUSTOMER

Document = dict[str, Any]
Selection = Mapping[str, int]
_NEWER = {model.collection: model.newer for model in DOCUMENT_MODELS}


@dataclass(frozen=True, slots=True)
class View:
    """A request reads everything through its one view, so that all of it is of one position.

    `known` and `ends`: what the process remembers of customers' names and of pages; None: nothing.
    """

    database: AsyncDatabase[Document]
    place: Place
    known: KnownNames | None = None
    ends: Ends | None = None

    def collection(self, name: str) -> Any:
        """Return a collection to read; its documents must go through `as_was`.

        Raises Unavailable where the read model is not filled yet.
        """
        if name in BY_COLLECTION:
            self.place.shape_of(BY_COLLECTION[name])
        return self.database[name]

    def present(self, name: str) -> Any:
        """Return a collection to read as it is now, even in a view of the past."""
        return self.database[name]

    async def one(self, collection: str, number: int) -> Document | None:
        """Return a document, unless it is missing or deleted."""
        found: Document | None = await self.collection(collection).find_one({"_id": number})
        return None if found is None or found.get("deleted") else _filled(collection, found)

    @property
    def position(self) -> int:
        """The view's position."""
        return self.place.position

    @property
    def is_past(self) -> bool:
        """Whether the view is of an earlier moment."""
        return False

    def as_was(self, _collection: str, found: Document) -> Document | None:
        """Return a document as the view shows it, None where it did not exist."""
        return found

    async def as_were(self, _collection: str, found: list[Document]) -> list[Document]:
        """Return documents that `as_was` has returned, with their fields at the view's moment."""
        return found

    async def names(self, collection: str, ids: Iterable[int]) -> dict[int, str]:
        """Return the names of customers or products, of deleted ones too."""
        if self.known is not None and collection == CUSTOMER.collection:
            return await self.known.names(self, ids)
        return await self.read_names(collection, ids)

    async def read_names(self, collection: str, ids: Iterable[int]) -> dict[int, str]:
        """Return the names as MongoDB has them."""
        found = await self.raw(collection, ids, {"name": 1})
        return {number: document["name"] for number, document in found.items()}

    async def many(
        self, collection: str, ids: Iterable[int], fields: Selection | None = None
    ) -> dict[int, Document]:
        """Return the documents of these ids, deleted ones too; `fields` of them are enough."""
        self.collection(collection)
        return await self.raw(collection, ids, fields)

    async def raw(
        self, collection: str, ids: Iterable[Any], fields: Selection | None = None
    ) -> dict[Any, Document]:
        """Return documents as they are now, even in a view of the past."""
        documents: dict[Any, Document] = {}
        for some in _by_parts(collection, ids):
            async for document in self.present(collection).find(some, fields):
                documents[document["_id"]] = _filled(collection, document)
        return documents


def _filled(collection: str, found: Document) -> Document:
    """Return a document with the fields that it lacks because of an earlier shape."""
    newer = _NEWER.get(collection)
    return {**newer, **found} if newer else found


def _by_parts(collection: str, ids: Iterable[Any]) -> Iterator[Document]:
    """Yield the filters for these ids: one range where an index has it, else some ids at a time."""
    if isinstance(ids, range) and ids and collection in NUMBERED:
        low, high = sorted((ids[0], ids[-1]))
        yield {NUMBERED[collection]: {"$gte": Int64(low), "$lte": Int64(high)}}
        return
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), IDS_AT_ONCE):
        yield {"_id": {"$in": wanted[start : start + IDS_AT_ONCE]}}
