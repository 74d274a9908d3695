"""Closes the signed heads of the log whose events were lost with a history that the log has left.

Guarantees that a head is closed only where Kafka still has its event, as it was signed, and the log
has left that event: of any other head that does not fit, `storelog verify` says so as before.
Next: verify/anchor.py
"""

import asyncio

import asyncpg

from storelog.config import Settings
from storelog.log_history import Histories, LogHistory, number_of
from storelog.origin import Origin
from storelog.projector.receive.record import header_of
from storelog.relay.cursor import hash_at, read_origin
from storelog.upkeep.lost_events import read_wanted
from storelog.verify.anchor import Anchor, AnchoredHead


async def close_lost(
    connection: asyncpg.Connection, settings: Settings, anchor: Anchor
) -> list[int]:
    """Close heads, and return their positions. Raises CannotRun, KafkaException, PostgresError."""
    gone: list[AnchoredHead] = []
    for head in anchor.heads.values():
        kept = await hash_at(connection, head.position)
        if (kept is None or kept.hex() != head.hash) and head.is_signed(anchor.key):
            gone.append(head)
    if not gone:
        return []
    origin = await read_origin(connection)
    # Without histories none counts as left: these are the very events that are looked for.
    everything = Origin("", origin.proven_from)
    # Not all later ones: of a head that is closed late, there may be more than fit in memory.
    positions = {head.position for head in gone}
    records = await asyncio.to_thread(read_wanted, settings, everything, lambda at: at in positions)
    closed = []
    for head in gone:
        record = records.get(head.position, {}).get(head.hash)
        history = None if record is None else header_of(record, "history")
        left_for = None if record is None else _left_for(origin.histories, history, head.position)
        if left_for is not None:
            anchor.close(head, left_for)
            closed.append(head.position)
    return closed


def _left_for(histories: Histories, history: str | None, position: int) -> LogHistory | None:
    """Return the history that began without a position of an earlier one; None where none did."""
    number = number_of(histories, history)
    later = () if number is None else histories[number + 1 :]
    return next((each for each in later if position > each.began_after), None)
