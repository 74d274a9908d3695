"""What one request reads: a database, and how far its documents were when the request began.

Next: read_models/orders/query.py
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson.int64 import Int64
from pymongo.asynchronous.database import AsyncDatabase

from storelog.envelope import milliseconds, parse_time
from storelog.errors import Unavailable
from storelog.log_history import HEADER
from storelog.read_models.listed import BY_COLLECTION, DOCUMENT_MODELS, ReadModel
from storelog.read_models.shapes import COMMAND, Shapes
from storelog.read_side import IDS_AT_ONCE, NUMBERED

# How much older than the lock on the log's head under which it is written a batch's time may be.
MAX_STAMP_AGE_MS = 500
Document = dict[str, Any]
Fields = Mapping[str, int]
_NEWER = {model.collection: model.newer for model in DOCUMENT_MODELS}


@dataclass(frozen=True, slots=True)
class Trail:
    """One lane's moments: so many blocks, and packed rows after them."""

    lane: int
    blocks: int
    rows: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """How far the read model is, and where its documents end.

    `leaves`: each lane with the number of the ledger's leaf that it is filling. `trails`: where
    the lanes' moments are. `settled_ms`: all that was recorded up to this time is here. `is_late`:
    the bounds that moments name may be too narrow. `clock`: a time of PostgreSQL's clock, not long
    ago. `repaired`: how often it was repaired, which changes even what never changes else.
    `shapes`: with which shapes the read models were filled, None for those of this release.
    `history`: of which history of the log the position is; None before any relay has said so.
    """

    position: int = 0
    dead_letters: int = 0
    highest_customer: int = 0
    highest_product: int = 0
    oldest_order: datetime | None = None
    newest_order: datetime | None = None
    leaves: tuple[tuple[int, int], ...] = ()
    trails: tuple[Trail, ...] = ()
    settled_ms: int | None = None
    is_late: bool = False
    clock: datetime | None = None
    repaired: int = 0
    shapes: Shapes | None = None
    history: str | None = None

    def shape_of(self, model: ReadModel) -> int:
        """Return with which shape a read model was filled. Raises Unavailable where it was not."""
        shape = model.shape if self.shapes is None else self.shapes.get(model.collection)
        if shape is None:
            raise Unavailable(
                f"The read model {model.collection} is not filled: {COMMAND} fills it."
            )
        return shape

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return what every answer says of its freshness."""
        headers = [("Storelog-Position", str(self.position))]
        if self.history is not None:
            headers.append((HEADER, self.history))
        if self.dead_letters:
            headers.append(("Storelog-Dead-Letters", str(self.dead_letters)))
        return tuple(headers)


def place_of(checkpoints: list[Document]) -> Place:
    """Return the place that the lanes' checkpoints make together.

    Raises Unavailable where they are of two histories: no position means the same to both.
    """
    lanes = max((lane["lanes"] for lane in checkpoints), default=0)
    # Partitions beyond the lanes may have had foreign records.
    checkpoints = [lane for lane in checkpoints if lane["_id"] < lanes or not lanes]
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
        tuple((int(lane["_id"]), int(lane["leaf"])) for lane in checkpoints),
        tuple(
            Trail(int(lane["_id"]), int(lane["momentBlocks"]), lane["moments"])
            for lane in checkpoints
        ),
        min((_settled_ms(lane) for lane in checkpoints), default=None) if is_whole else None,
        any(lane["isLate"] for lane in checkpoints),
        max((parse_time(at) for lane in checkpoints if (at := lane["readAt"])), default=None),
        sum(int(lane.get("repaired", 0)) for lane in checkpoints),
        history=_history_of(checkpoints),
    )


def _history_of(checkpoints: list[Document]) -> str | None:
    found = {lane["history"] for lane in checkpoints if lane.get("history")}
    if len(found) > 1:
        raise Unavailable("The read model's lanes are of two histories: run `storelog recover`.")
    return next(iter(found), None)


def _settled_ms(lane: Document) -> int:
    """Return up to which time the lane has all that was recorded.

    Up to before its last safe event, since none is recorded before the one before it; or to half a
    second before the relay found, with the log's head locked, that nothing came after.
    """
    settled = -(2**62)
    if lane["safeRecordedAt"] is not None:
        settled = milliseconds(parse_time(lane["safeRecordedAt"])) - 1
    if lane["readAt"] is not None:
        settled = max(settled, milliseconds(parse_time(lane["readAt"])) - MAX_STAMP_AGE_MS - 1)
    return settled


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a request reads, it reads through its one view."""

    database: AsyncDatabase[Document]
    place: Place

    def collection(self, name: str) -> Any:
        """Return a collection to read, whose documents are shown by `as_was`.

        Raises Unavailable where the read model is not filled yet.
        """
        if name in BY_COLLECTION:
            self.place.shape_of(BY_COLLECTION[name])
        return self.database[name]

    def present(self, name: str) -> Any:
        """Return a collection to read as it is now, whatever moment the view is of."""
        return self.database[name]

    async def one(self, collection: str, number: int) -> Document | None:
        """Return a document, unless it is missing or deleted."""
        found: Document | None = await self.collection(collection).find_one({"_id": number})
        return None if found is None or found.get("deleted") else _filled(collection, found)

    @property
    def position(self) -> int:
        """The position that the view is of."""
        return self.place.position

    @property
    def is_past(self) -> bool:
        """Whether the view is of an earlier moment."""
        return False

    def as_was(self, _collection: str, found: Document) -> Document | None:
        """Return an order or a sale as the view shows it, None when it does not."""
        return found

    async def as_were(self, _collection: str, found: list[Document]) -> list[Document]:
        """Return documents that `as_was` let through, each with its fields as the view has them."""
        return found

    async def names(self, collection: str, ids: Iterable[int]) -> dict[int, str]:
        """Return the names of customers or products, of deleted ones too."""
        found = await self.raw(collection, ids, {"name": 1})
        return {number: document["name"] for number, document in found.items()}

    async def many(
        self, collection: str, ids: Iterable[int], fields: Fields | None = None
    ) -> dict[int, Document]:
        """Return the documents of these ids, deleted ones too; `fields` of them are enough."""
        self.collection(collection)
        return await self.raw(collection, ids, fields)

    async def raw(
        self, collection: str, ids: Iterable[Any], fields: Fields | None = None
    ) -> dict[Any, Document]:
        """Return documents as they are now, whatever moment the view is of."""
        documents: dict[Any, Document] = {}
        for some in _by_parts(collection, ids):
            async for document in self.present(collection).find(some, fields):
                documents[document["_id"]] = _filled(collection, document)
        return documents


def _filled(collection: str, found: Document) -> Document:
    """Return a document with the fields that it lacks, since it has an earlier shape."""
    newer = _NEWER.get(collection)
    return {**newer, **found} if newer else found


def _by_parts(collection: str, ids: Iterable[Any]) -> Iterator[Document]:
    """Yield what to ask for: a range at once where an index has it, else ids, some at a time."""
    if isinstance(ids, range) and ids and collection in NUMBERED:
        low, high = sorted((ids[0], ids[-1]))
        yield {NUMBERED[collection]: {"$gte": Int64(low), "$lte": Int64(high)}}
        return
    wanted = list(dict.fromkeys(ids))
    for start in range(0, len(wanted), IDS_AT_ONCE):
        yield {"_id": {"$in": wanted[start : start + IDS_AT_ONCE]}}
