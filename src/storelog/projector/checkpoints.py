"""The place of each lane, kept in MongoDB beside its documents and moved by compare-and-set.

`position` is the lane's last event in the documents. `safe` is the position of the log up to which
the documents hold all of this lane's events, so the lowest `safe` of all lanes is the position of
the read model. MongoDB's checkpoint always wins over Kafka's committed offsets.
Next: projector/lanes.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, assert_never

from bson.int64 import Int64
from pymongo import ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storelog.projector.databases.bulk import existing
from storelog.read_models.change import Change
from storelog.shop.events import id_of, order_date_of

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of the lane's documents, so that a list need not look beyond them.

    `leaf`: the number of the ledger's leaf that is being filled; `blocks`: the number of blocks of
    moments, `rows`: the moments after them. `is_late`: a dead letter was replayed, so documents may
    lie beyond the bounds that the moments name.
    """

    customers: int = 0
    products: int = 0
    oldest_order: datetime | None = None
    newest_order: datetime | None = None
    leaf: int = 0
    blocks: int = 0
    rows: bytes = b""
    is_late: bool = False

    def including(self, change: Change) -> "Bounds":
        """Return the bounds extended to include one more event's document."""
        bound = change.kind.entity.bound
        match bound:
            case None:
                return self
            case "customers":
                return self._with(customers=max(self.customers, id_of(change.event)))
            case "products":
                return self._with(products=max(self.products, id_of(change.event)))
            case "orders":
                return self._including_date(order_date_of(change.event))
            case _:
                assert_never(bound)

    def _including_date(self, at: datetime | None) -> "Bounds":
        if at is None:
            return self
        oldest, newest = self.oldest_order or at, self.newest_order or at
        return self._with(oldest_order=min(oldest, at), newest_order=max(newest, at))

    def _with(self, **changed: Any) -> "Bounds":
        # Unchanged bounds stay the same object, which is how a batch tells that none moved.
        if all(getattr(self, name) == value for name, value in changed.items()):
            return self
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One lane's place. `offsets`: for each topic, the first offset to read again.

    `topic_ids`: the topics' ids; a topic that was deleted and created again has another.
    `history`: the log's history that the last watermark named. `read_at`: when the relay last
    looked and found nothing beyond `safe`. `session`: the projector whose transactions write this
    lane. `repaired`: how often `storelog verify` has repaired it.
    """

    lane: int
    position: int = 0
    hash: str = ""
    safe: int = 0
    safe_recorded_at: str | None = None
    read_at: str | None = None
    lanes: int = 0
    dead_letters: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    topic_ids: dict[str, str] = field(default_factory=dict)
    bounds: Bounds = Bounds()
    session: bytes | None = None
    repaired: int = 0
    history: str | None = None


class Fenced(Exception):
    """Another process has written this lane: its state in memory must be dropped and read again."""


def load(database: Database[dict[str, Any]], lanes: Sequence[int]) -> list[Checkpoint]:
    """Return the checkpoint of each lane, in their order; a new lane's is before all events."""
    some = {"_id": {"$in": list(lanes)}}
    found = {each["_id"]: _read(each) for each in database[CHECKPOINTS].find(some)}
    return [found.get(lane, Checkpoint(lane)) for lane in lanes]


def number_of_lanes(database: Database[dict[str, Any]]) -> int:
    """Return how many lanes the read model has, 0 while that is unknown."""
    found = database[CHECKPOINTS].find({}, {"lanes": 1})
    return max((int(place["lanes"]) for place in found), default=0)


def update_each(
    database: Database[dict[str, Any]], some: dict[str, Any], change: dict[str, Any]
) -> None:
    """Update some checkpoints, one by one.

    An update of all at once would wait for a transaction that has written one of them, and the
    embedded server would block the collection meanwhile, so the transaction could never end.
    """
    found = database[CHECKPOINTS].find(some, {"_id": 1})
    updates = [UpdateOne({"_id": place["_id"], **some}, change) for place in found]
    if updates:
        database[CHECKPOINTS].bulk_write(updates, ordered=False)


def _read(found: dict[str, Any]) -> Checkpoint:
    offsets = {entry["topic"]: int(entry["offset"]) for entry in found["offsets"]}
    # Checkpoints of earlier releases have no ids.
    topic_ids = {entry["topic"]: entry["id"] for entry in found["offsets"] if entry.get("id")}
    return Checkpoint(
        found["_id"],
        int(found["position"]),
        found["hash"],
        int(found["safe"]),
        found["safeRecordedAt"],
        found["readAt"],
        found["lanes"],
        found["deadLetters"],
        offsets,
        topic_ids,
        Bounds(
            int(found["highestCustomer"]),
            int(found["highestProduct"]),
            found["oldestOrder"],
            found["newestOrder"],
            int(found["leaf"]),
            int(found["momentBlocks"]),
            bytes(found["moments"]),
            found["isLate"],
        ),
        found.get("session"),
        int(found.get("repaired", 0)),
        found.get("history"),
    )


def save(
    database: Database[dict[str, Any]],
    moves: Sequence[tuple[Checkpoint, Checkpoint]],
    session: ClientSession | None = None,
) -> None:
    """Move each checkpoint from the first of its pair to the second. Raises Fenced.

    Outside a transaction, some may have moved even so: the caller must load all of them again.
    """
    operations = [_move(old, new) for old, new in moves]
    try:
        done = database[CHECKPOINTS].bulk_write(operations, ordered=False, session=session)
    except BulkWriteError as error:
        existing(error)
        raise Fenced(f"lanes {[old.lane for old, _ in moves]}") from error
    if done.matched_count + len(done.upserted_ids or {}) < len(operations):
        raise Fenced(f"lanes {[old.lane for old, _ in moves]}")


def _move(old: Checkpoint, new: Checkpoint) -> ReplaceOne[dict[str, Any]]:
    fields = {
        "position": Int64(new.position),
        "hash": new.hash,
        "safe": Int64(new.safe),
        "safeRecordedAt": new.safe_recorded_at,
        "readAt": new.read_at,
        "lanes": new.lanes,
        "deadLetters": new.dead_letters,
        "highestCustomer": Int64(new.bounds.customers),
        "highestProduct": Int64(new.bounds.products),
        "oldestOrder": new.bounds.oldest_order,
        "newestOrder": new.bounds.newest_order,
        "leaf": Int64(new.bounds.leaf),
        "momentBlocks": Int64(new.bounds.blocks),
        "moments": new.bounds.rows,
        "isLate": new.bounds.is_late,
        "session": new.session,
        "repaired": new.repaired,
        "history": new.history,
        # Topic names have dots, which field names should not.
        "offsets": [
            {"topic": topic, "offset": Int64(offset), "id": new.topic_ids.get(topic)}
            for topic, offset in sorted(new.offsets.items())
        ],
    }
    # A checkpoint that another process has moved does not match, nor one that a waiting promotion
    # has marked as `frozen`. So of two projectors that both own a lane only one can write it.
    place = {"position": Int64(old.position), "safe": Int64(old.safe), "frozen": None}
    is_first = old == Checkpoint(old.lane)
    # The embedded server replaces a document faster than it sets this many fields.
    return ReplaceOne({"_id": old.lane, **place}, fields, upsert=is_first)
