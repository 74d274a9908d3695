"""The transaction of a batch, where the server has them; and the checkpoints that it follows.

A server can come back empty or from an older copy without an error: the driver opens a new
connection by itself. What is folded onto documents of another time would be wrong for ever, so the
lanes' checkpoints are compared before a batch, and within one whenever the last response is older
than a server could be exchanged in; and now and then while nothing is to be written, so that quiet
lanes recover too.

Nothing needs a transaction: each write is guarded by itself. But a server may commit, and so wait
for its disk, for each updated document by itself; in a transaction it does so once a batch. What
follows other checkpoints is taken back with it, so nothing is compared before it. One that a
killed or paused projector left open would hold its documents for a minute: so the checkpoints name
the session, and a projector that takes a lane over ends it first.
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
    """Something is there already: the lanes are loaded again, and begin without a transaction."""


class BatchTransaction:
    """Surrounds the writes of some lanes; `checkpoints`: theirs, as loaded or saved last."""

    def __init__(
        self, database: Database[dict[str, Any]], checkpoints: Sequence[Checkpoint]
    ) -> None:
        self._database = database
        self.checkpoints = {each.lane: each for each in checkpoints}
        self._sure_at = time.monotonic()
        self._lanes_session: ClientSession | None = None
        # The first batches may be there in part, which would end a transaction: they go without.
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
        """Surround the writes of a batch and of its checkpoints: all or none, where that can be."""
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
        """Surround one write: a quick response comes from the server that was compared with."""
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
    """Return the checkpoints once no other's transaction can move them. Raises PyMongoError."""
    known = load(database, lanes)
    sessions = {place.session for place in known if place.session is not None}
    for session in sessions:
        end_session(database, session)
    return load(database, lanes) if sessions else known


def end_session(database: Database[dict[str, Any]], session_id: bytes) -> None:
    """End another's transaction, whatever it has written. Raises PyMongoError."""
    name = {"id": Binary(session_id, UUID_SUBTYPE)}
    database.client.admin.command("killSessions", [name])


def _has_transactions(database: Database[dict[str, Any]]) -> bool:
    """Tell whether the server has transactions, and lets one end them; one alone may have none."""
    try:
        with database.client.start_session() as session, session.start_transaction():
            database[CHECKPOINTS].find_one({}, {"_id": 1}, session=session)
        end_session(database, uuid4().bytes)
    except OperationFailure as error:
        _log.info("the lanes go on without transactions", cause=str(error)[:200])
        return False
    return True
