"""Tells whether the log is the one that Kafka has seen, before anything is sent.

After a failover that lost commits, or a restore to an earlier time, the log can be behind Kafka, or
continue differently from there: mixing two histories would be worse than stopping.
Next: relay/relay.py
"""

import asyncio

import asyncpg

from storelog.config import Settings
from storelog.errors import HistoryMismatch
from storelog.log_history import number_of
from storelog.relay.cursor import hash_at, histories, keep_ahead
from storelog.relay.kafka_watch import mismatch
from storelog.seen_marks import SeenMark, newest_marks


async def check_history(connection: asyncpg.Connection, settings: Settings) -> None:
    """Compare Kafka's newest records with the log, and store in PostgreSQL what the log lacks.

    Raises HistoryMismatch, whose message says what to do.
    """
    proven_from = await connection.fetchval("SELECT proven_from FROM relay_cursor")
    known = await histories(connection)
    wrong: tuple[SeenMark, bytes | None] | None = None
    is_own = False
    marks, is_whole = await asyncio.to_thread(newest_marks, settings, proven_from, known)
    for mark in marks:
        found = await hash_at(connection, mark.position)
        is_there = found is not None and found.hex() == mark.hash
        names_own = mark.history is not None and number_of(known, mark.history) is not None
        is_own = is_own or is_there or names_own
        # Marks come newest first, so this is the newest position that differs.
        if not is_there and wrong is None:
            wrong = mark, found
    if wrong is None:
        await keep_ahead(connection, None, known)
        # Marks of histories that were left are not read, so with several the end proves nothing.
        if marks and is_whole and len(known) == 1:
            sent = await connection.fetchval("SELECT position FROM relay_cursor")
            _check_end(marks[0].position, sent)
        return
    mark, found = wrong
    what = "does not reach" if found is None else "has another event at"
    seen = f"Kafka has seen position {mark.position} of a log that this one {what}"
    if not is_own:
        raise HistoryMismatch(
            f"{seen}: it is another shop's. Use another STORELOG_KAFKA_TOPIC_PREFIX and MongoDB"
            " database for this log"
        )
    await keep_ahead(connection, mark.position, known)
    raise LogIsBehind(
        f"{seen}: PostgreSQL has failed over to a server that lacked commits, or was restored to an"
        " earlier time. Let the server lead that has them, or restore the log; or run `storelog"
        " recover`, which says what is lost",
        mark.position,
    )


def _check_end(end: int, sent: int) -> None:
    """Raise HistoryMismatch if Kafka ends below what it has acknowledged.

    The cursor moves after the acknowledgement of its event, and of a watermark that names it.
    """
    if end < sent:
        raise mismatch(f"it ends at position {end}, events were sent up to {sent}")


class LogIsBehind(HistoryMismatch):
    """Kafka has events of this log, up to `position`, that PostgreSQL lacks."""

    def __init__(self, detail: str, position: int) -> None:
        super().__init__(detail)
        self.position = position
