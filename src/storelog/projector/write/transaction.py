"""The transaction of a batch, where the server has them, and the checkpoints that it follows.

A server can come back empty or from an older copy without an error, since the driver reconnects by
itself. Folding onto documents of another time would be wrong for ever. So the lanes' checkpoints
are compared before a batch, within one whenever the last response is so old that the server could
have been replaced, and from time to time without a batch, so that quiet lanes recover too.

No write needs a transaction: each is guarded by itself. But a server may wait for its disk once for
each updated document; in a transaction it does so once for each batch. If the checkpoints differ,
the transaction is rolled back, so nothing is compared before it. A transaction that a killed or
paused projector left open would lock its documents for a minute. So the checkpoints name the
session, and a projector that takes over a lane ends it first.
Next: projector/checkpoints.py
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import structlog
from bson.binary import UUID_SUBTYPE, Binary
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure

from storelog.projector.checkpoints import CHECKPOINTS, Checkpoint, Fenced, load, save

SURE_SECONDS = 0.5
IDLE_SECONDS = 2.0
_log = structlog.get_logger()


class Repeated(Fenced):
    """A document exists already: the lanes are loaded again and begin without a transaction."""


class BatchTransaction:
    """Surrounds the writes of some lanes; `checkpoints`: theirs, as last loaded or saved."""

    def __init__(
        self, database: Database[dict[str, Any]], checkpoints: Sequence[Checkpoint]
    ) -> None:
        self._database = database
        self.checkpoints = {each.lane: each for each in checkpoints}
        self._sure_at = time.monotonic()
        self._lanes_session: ClientSession | None = None
        # The first batch may repeat one that a crash left half written. A document that exists
        # already aborts a transaction, so that batch is written without one.
        self._may_repeat = True
        self.session: ClientSession | None = None

    def check(self, within: float = SURE_SECONDS) -> None:
        """Compare the checkpoints with MongoDB's, unless that was `within` seconds ago.

        Raises Fenced and PyMongoError.
        """
        now = time.monotonic()
        if now - self._sure_at <= within:
            return
        now_there = load(self._database, list(self.checkpoints))
        for here, there in zip(self.checkpoints.values(), now_there, strict=True):
            if _place_of(there) != _place_of(here):
                raise Fenced(f"lane {here.lane} is at {there.position}, not at {here.position}")
        self._sure_at = now

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Surround the writes of a batch and its checkpoints; in a transaction, if there is one."""
        if self._may_repeat or self._lanes_session is None:
            self.check(within=0)
        if self._may_repeat:
            if self._lanes_session is None and _has_transactions(self._database):
                self._lanes_session = self._database.client.start_session()
            self._may_repeat = False
            yield
            return
        if self._lanes_session is None:
            yield
            return
        with self._lanes_session.start_transaction(write_concern=self._database.write_concern):
            self.session = self._lanes_session
            try:
                yield
            finally:
                self.session = None

    def save(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Move lanes to these checkpoints, which name the session of the lanes' transactions.

        Raises Fenced and PyMongoError.
        """
        session = (
            None if self._lanes_session is None else bytes(self._lanes_session.session_id["id"])
        )
        kept = [replace(place, session=session) for place in checkpoints]
        pairs = [(self.checkpoints[new.lane], new) for new in kept]
        moves = [(old, new) for old, new in pairs if new != old]
        if moves:
            save(self._database, moves, self.session)
        self.checkpoints |= {new.lane: new for new in kept}

    @contextmanager
    def step(self) -> Iterator[ClientSession | None]:
        """Surround one write; a quick response shows that the server has not been replaced."""
        self.check()
        began = time.monotonic()
        try:
            yield self.session
        except BulkWriteError as error:
            if self.session is not None:
                raise Repeated("a write of the transaction found its document there") from error
            self._may_repeat = self._lanes_session is not None
            raise
        now = time.monotonic()
        if now - began < SURE_SECONDS:
            self._sure_at = now


def _place_of(place: Checkpoint) -> tuple[int, int, str, int]:
    return place.position, place.safe, place.hash, place.repaired


def take_over(database: Database[dict[str, Any]], lanes: Sequence[int]) -> list[Checkpoint]:
    """Return the checkpoints once no other transaction can move them. Raises PyMongoError."""
    known = load(database, lanes)
    sessions = {place.session for place in known if place.session is not None}
    for session in sessions:
        end_session(database, session)
    return load(database, lanes) if sessions else known


def end_session(database: Database[dict[str, Any]], session_id: bytes) -> None:
    """End another process's session, and roll back its transaction. Raises PyMongoError."""
    name = {"id": Binary(session_id, UUID_SUBTYPE)}
    database.client.admin.command("killSessions", [name])


def _has_transactions(database: Database[dict[str, Any]]) -> bool:
    """Tell whether the server has transactions and allows ending those of others.

    A standalone server has none.
    """
    try:
        with database.client.start_session() as session, session.start_transaction():
            database[CHECKPOINTS].find_one({}, {"_id": 1}, session=session)
        end_session(database, uuid4().bytes)
    except OperationFailure as error:
        _log.info("the lanes go on without transactions", cause=str(error)[:200])
        return False
    return True
