"""The place of the read model, which its lanes' checkpoints give together.

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

# How much older a batch's time may be than the lock on the log's head under which it is written.
MAX_STAMP_AGE_MS = 500


@dataclass(frozen=True, slots=True)
class Trail:
    """One lane's moments: the number of its blocks, and the packed rows after them."""

    lane: int
    blocks: int
    rows: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """The position of the read model, and the bounds of its documents.

    `leaves`: each lane with the number of the ledger's leaf that it is filling. `trails`: the
    lanes' moments. `settled_ms`: everything that was recorded up to this time is included.
    `is_late`: the bounds in moments may be too narrow. `clock`: a recent time of PostgreSQL's
    clock. `repaired`: how often the read model was repaired, which may change even closed blocks.
    `shapes`: the shapes of the read models, None for those of this release. `history`: the log's
    history of the position, None while no relay has named one.
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
        """Return the shape of a read model. Raises Unavailable where it is not filled."""
        shape = model.shape if self.shapes is None else self.shapes.get(model.collection)
        if shape is None:
            raise Unavailable(
                f"The read model {model.collection} is not filled: {COMMAND} fills it."
            )
        return shape

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that tell how fresh a response is."""
        headers = [("Storelog-Position", str(self.position))]
        if self.history is not None:
            headers.append((HEADER, self.history))
        if self.dead_letters:
            headers.append(("Storelog-Dead-Letters", str(self.dead_letters)))
        return tuple(headers)


def place_of(checkpoints: list[dict[str, Any]]) -> Place:
    """Return the place of the read model from its lanes' checkpoints.

    Raises Unavailable where they have two histories: a position means another event in each.
    """
    lanes = max((lane["lanes"] for lane in checkpoints), default=0)
    # Partitions beyond the lanes may have had foreign records.
    checkpoints = [lane for lane in checkpoints if lane["_id"] < lanes or not lanes]
    # A lane without a checkpoint has no events yet, so no position is complete.
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
        raise Unavailable("The read model's lanes have two histories: run `storelog recover`.")
    return next(iter(found), None)


def _settled_ms(lane: dict[str, Any]) -> int:
    """Return the time up to which the lane has everything that was recorded.

    That is just before the time of its last safe event, since times in the log never go back; or
    half a second before the relay found, with the log's head locked, that no event followed.
    """
    settled = -(2**62)
    if lane["safeRecordedAt"] is not None:
        settled = milliseconds(parse_time(lane["safeRecordedAt"])) - 1
    if lane["readAt"] is not None:
        settled = max(settled, milliseconds(parse_time(lane["readAt"])) - MAX_STAMP_AGE_MS - 1)
    return settled
