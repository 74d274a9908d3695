"""When each position of a lane was recorded, and the bounds of the lane's documents then.

A row stands for all events of a lane that were recorded in one millisecond: the last one's position
and the bounds after it. The newest rows are in the lane's checkpoint. They move 128 at a time into
a block of their own, `lane/number`, which never changes.
Next: projector/write/moments_writer.py
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

COLLECTION = "moments"
BLOCK_ROWS = 128
_ROW = struct.Struct("<qqqqqq")
_NONE = -(2**63)


@dataclass(frozen=True, slots=True)
class Moment:
    """One row. Times are milliseconds since 1970; `oldest_ms` and `newest_ms` are the dates of the
    oldest and the newest order, None without orders.
    """

    position: int
    recorded_ms: int
    customers: int
    products: int
    oldest_ms: int | None
    newest_ms: int | None


def pack_moments(moments: Iterable[Moment]) -> bytes:
    """Return moments as a block or a checkpoint keeps them."""
    return b"".join(
        _ROW.pack(
            row.position,
            row.recorded_ms,
            row.customers,
            row.products,
            _NONE if row.oldest_ms is None else row.oldest_ms,
            _NONE if row.newest_ms is None else row.newest_ms,
        )
        for row in moments
    )


def unpack_moments(packed: bytes) -> list[Moment]:
    """Return packed moments."""
    return [
        Moment(
            position,
            recorded,
            customers,
            products,
            None if oldest == _NONE else oldest,
            None if newest == _NONE else newest,
        )
        for position, recorded, customers, products, oldest, newest in _ROW.iter_unpack(packed)
    ]
