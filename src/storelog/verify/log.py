"""Reads the log once, in order, and checks its chain: every field and hash, no gap, nothing added.

Next: verify/state_tables.py
"""

import hashlib
from collections.abc import AsyncIterator, Iterable

import asyncpg

from storelog.envelope import EVENT_COLUMNS, GENESIS_HASH, Envelope, chain_hash, envelope_from_row
from storelog.relay import cursor
from storelog.verify.report import MAX_DIFFERENCES, Report

CHUNK = 2_000
_READ_CHUNK = cursor.READ_SOME.format(columns=f"{EVENT_COLUMNS}, payload_hash")


async def read_log(
    connection: asyncpg.Connection, after: int, up_to: int
) -> AsyncIterator[list[tuple[Envelope, bytes]]]:
    """Yield events with their payload hashes in (after, up_to], a chunk at a time.

    A chunk has at most CHUNK events, and about READ_BYTES of payloads.
    """
    while after < up_to:
        some = min(CHUNK, up_to - after)
        read = await connection.fetch(_READ_CHUNK, after, some, cursor.READ_BYTES)
        # If positions are missing, the read may reach beyond `up_to`.
        rows = [row for row in read if row["position"] <= up_to]
        if not rows:
            return
        yield [(envelope_from_row(tuple(row)[:-1]), row["payload_hash"]) for row in rows]
        after = rows[-1]["position"]


async def positions_above(connection: asyncpg.Connection, head: int) -> list[int]:
    """Return the first positions of events beyond the head."""
    rows = await connection.fetch(
        "SELECT position FROM events WHERE position > $1 ORDER BY position LIMIT $2",
        head,
        MAX_DIFFERENCES,
    )
    return [row["position"] for row in rows]


class Chain:
    """The hash chain up to the last event that was read."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.position = 0
        self.hash = GENESIS_HASH

    def check(self, event: Envelope, payload_hash: bytes) -> None:
        """Check that the event is the next one and is as it was written."""
        report = self._report
        report.count("events")
        has_gap = event.position != self.position + 1
        if has_gap:
            report.differ("log", self.position + 1, "event", "an event", None)
        if hashlib.sha256(event.payload).digest() != payload_hash:
            actual = hashlib.sha256(event.payload).digest()
            report.differ("log", event.position, "payload", payload_hash, actual)
        # After a gap the hash cannot be right; the gap itself is reported already.
        computed = chain_hash(self.hash, event, payload_hash)
        if computed != event.hash and not has_gap:
            report.differ("log", event.position, "hash", computed, event.hash)
        self.position, self.hash = event.position, event.hash

    def check_head(self, position: int, head_hash: bytes, above: Iterable[int]) -> None:
        """Check that the head of the log is its last event; `above`: positions beyond the head."""
        for stray in above:
            self._report.differ("log", stray, "event", None, "an event")
        if position != self.position:
            self._report.differ("log", self.position + 1, "event", "an event", None)
        elif head_hash != self.hash:
            self._report.differ("log", "head", "hash", self.hash, head_hash)
