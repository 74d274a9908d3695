"""How far the read model is, as the lanes' checkpoints say it together.

Next: query_service/positions/view.py
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storelog.envelope import milliseconds, parse_time
from storelog.errors import Unavailable
from storelog.log_history import HEADER
from storelog.read_models.listed import ReadModel
from storelog.read_models.shapes import COMMAND, Shapes

# How much older than the lock on the log's head under which it is written a batch's time may be.
MAX_STAMP_AGE_MS = 500


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


def place_of(checkpoints: list[dict[str, Any]]) -> Place:
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


def _history_of(checkpoints: list[dict[str, Any]]) -> str | None:
    found = {lane["history"] for lane in checkpoints if lane.get("history")}
    if len(found) > 1:
        raise Unavailable("The read model's lanes are of two histories: run `storelog recover`.")
    return next(iter(found), None)


def _settled_ms(lane: dict[str, Any]) -> int:
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
