"""A watermark, as the relay sends it, and as the relay and the projector read it.

Next: projector/receive/record.py
"""

import msgspec


class Watermark(msgspec.Struct):
    """Where everything up to `position` ends; `lanes`: the last position of it in each lane.

    `readAt`: when, by PostgreSQL's clock, the log ended there; None where that is not known.
    `lanesSince`: the position up to which events were sent with fewer lanes; None: not known.
    `history`: the log's; None from relays of earlier releases.
    """

    position: int
    hash: str
    recordedAt: str | None
    lanes: list[int]
    readAt: str | None = None
    previousHash: str | None = None
    proof: str | None = None
    lanesSince: int | None = None
    lanesProof: str | None = None
    history: str | None = None
    beganAfter: int = 0
    historyProof: str | None = None
