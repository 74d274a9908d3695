"""Makes what a relay tells every lane about the whole log: a watermark, or that it is behind Kafka.

Each proves itself as records do: by the hash of the event before its place.
Next: relay/publisher.py
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from storelog.envelope import (
    BEHIND,
    GENESIS_HASH,
    HISTORY,
    LANES,
    MARK,
    ChainedEvent,
    Envelope,
    format_time,
    proof_of,
)
from storelog.log_history import LogHistory
from storelog.shop.json_values import encode_json


def watermark(
    event: Envelope | None,
    position: int,
    lanes: Sequence[int],
    read_at: datetime | None,
    lanes_since: int | None,
    history: LogHistory | None,
) -> bytes:
    """Return where in each lane everything up to a position ends; `event` is the one there.

    `read_at`: PostgreSQL's time at which the log ended there, if it did. `lanes_since`: the
    position up to which fewer lanes were used. `history`: the log's.
    """
    recorded_at = format_time(event.recorded_at) if event else None
    read = None if read_at is None else format_time(read_at)
    event_hash = event.hash.hex() if event else ""
    mark: dict[str, Any] = {
        "position": position,
        "hash": event_hash,
        "recordedAt": recorded_at,
        "lanes": lanes,
        "readAt": read,
    }
    previous = GENESIS_HASH if event is None else previous_of(event)
    if previous is not None:
        before = mark["previousHash"] = previous.hex()
        mark["proof"] = proof_of(MARK, before, event_hash, position, *lanes, recorded_at, read)
        if lanes_since is not None:
            mark["lanesSince"] = lanes_since
            mark["lanesProof"] = proof_of(LANES, before, event_hash, position, lanes_since)
        if history is not None:
            mark["history"], mark["beganAfter"] = names = (history.id, history.began_after)
            mark["historyProof"] = proof_of(HISTORY, before, event_hash, position, *names)
    return encode_json(mark)


def log_is_behind(head: ChainedEvent | None, ahead: int, history: LogHistory) -> bytes:
    """Return that the log ends at `head`, while Kafka has its events up to `ahead`."""
    position, event_hash, previous = 0, "", GENESIS_HASH
    if head is not None:
        position, event_hash, previous = head.position, head.hash.hex(), head.previous_hash
    before, facts = previous.hex(), (position, ahead, history.id)
    return encode_json(
        {
            "position": position,
            "hash": event_hash,
            "ahead": ahead,
            "history": history.id,
            "previousHash": before,
            "proof": proof_of(BEHIND, before, event_hash, *facts),
        }
    )


def previous_of(event: Envelope) -> bytes | None:
    """Return the hash of the event before, known if the log was read in order."""
    return event.previous_hash if isinstance(event, ChainedEvent) else None
