"""Shows events that could not be projected, and has the projector replay or discard them.

A retry first takes the events' bytes from the log, so that a record that was damaged on the way to
Kafka, or in it, recovers. The projector that owns the lane carries out the requests, in order.
Next: projector/retries.py
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from storelog import postgres
from storelog.config import Settings
from storelog.envelope import EVENT_COLUMNS, envelope_from_row
from storelog.errors import BadUse, CannotRun, NotFound
from storelog.event_codec import kafka_value
from storelog.projector.databases.connection import DEAD_LETTERS, connect, pointer_of, sibling
from storelog.projector.dead_letters import DISCARD, DISCARDED, PARKED, RETRY, WAITING
from storelog.projector.receive.foreign import FOREIGN, NOT_KEPT
from storelog.read_side import IDS_AT_ONCE
from storelog.reasons import reason
from storelog.relay import cursor
from storelog.relay.record_headers import record_headers
from storelog.verify.report import plain

WAIT_SECONDS = 30.0
# A server that does not respond within this time is away: a person is waiting.
LOOK_SECONDS = 5.0
SHOWN_BEHIND = 1_000
Document = dict[str, Any]


@dataclass(slots=True)
class Outcome:
    """The outcome of a request: settled ids, and ids that are still dead with their causes."""

    settled: list[str] = field(default_factory=list)
    still_dead: dict[str, str] = field(default_factory=dict)


@contextmanager
def dead_letters(settings: Settings, wait_seconds: float = WAIT_SECONDS) -> Iterator["DeadLetters"]:
    """Yield the dead letters. Raises CannotRun when MongoDB is away.

    `wait_seconds`: how long to wait for the projector that carries out a request.
    """
    home = connect(settings, look_seconds=LOOK_SECONDS)
    try:
        active = sibling(home, pointer_of(home).database)
        yield DeadLetters(settings, active[DEAD_LETTERS], wait_seconds)
    except PyMongoError as error:
        raise CannotRun(f"MongoDB: {reason(error)}") from error
    finally:
        home.client.close()


class DeadLetters:
    """The dead letters of the active read model."""

    def __init__(
        self,
        settings: Settings,
        letters: Collection[Document],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._settings = settings
        self._letters = letters
        self._wait_seconds = wait_seconds

    def list_all(self) -> list[Document]:
        """Return parked and foreign ones, each with the number of events that wait for it."""
        found = self._letters.find({"state": {"$in": [PARKED, FOREIGN]}}, {"value": 0})
        return [self._summary(letter) for letter in sorted(found, key=_order)]

    def _summary(self, letter: Document) -> Document:
        waiting = {"aggregate": letter["aggregate"], "state": WAITING}
        behind = 0 if letter["aggregate"] is None else self._letters.count_documents(waiting)
        names = ("state", "aggregate", "position", "topic", "partition", "offset", "cause", "at")
        facts = {name: plain(letter[name]) for name in names}
        return {"id": letter["_id"], **facts, "waiting": behind}

    def show(self, letter_id: str) -> Document:
        """Return all of one dead letter. Raises NotFound."""
        letter = self._find(letter_id)
        behind = self._letters.find(
            {"aggregate": letter["aggregate"], "state": WAITING}, {"position": 1}
        )
        positions = (
            []
            if letter["aggregate"] is None
            else sorted(int(waits["position"]) for waits in behind.limit(SHOWN_BEHIND))
        )
        return {
            **self._summary(letter),
            "key": letter["key"],
            "headers": [[name, _text(value)] for name, value in letter["headers"]],
            "value": _text(letter["value"]),
            "asked": letter.get("asked"),
            "waitingPositions": positions,
        }

    def _find(self, letter_id: str) -> Document:
        letter = self._letters.find_one({"_id": letter_id})
        if letter is None:
            raise NotFound(f"There is no dead letter {letter_id}.")
        return letter

    def retry(self, ids: Iterable[str]) -> Outcome:
        """Have these (none: all parked ones) replayed, with the events that wait for them.

        Without an account in PostgreSQL the bytes are those from Kafka. Raises BadUse for a record
        without a position in the log.
        """
        letters = [self._find(letter_id) for letter_id in ids]
        if not letters:
            letters = list(self._letters.find({"state": PARKED}))
        for letter in letters:
            if letter["state"] not in (PARKED, WAITING):
                raise BadUse(
                    f"dead letter {letter['_id']} is {letter['state']}: it is in no log, and can"
                    " only be discarded (`storelog dead-letters discard --foreign`: all such)"
                )
        if self._settings.postgres_url is not None:
            asyncio.run(self._refresh({letter["aggregate"] for letter in letters}))
        return self._request(letters, RETRY)

    def not_kept(self) -> int:
        """Return how many foreign records were only counted, beyond those that are kept."""
        found = self._letters.find({"state": NOT_KEPT}, {"records": 1})
        return sum(int(counted["records"]) for counted in found)

    def discard_foreign(self) -> int:
        """Delete all foreign records; return how many there were."""
        beyond = self.not_kept()
        self._letters.delete_many({"state": NOT_KEPT})
        return self._letters.delete_many({"state": FOREIGN}).deleted_count + beyond

    def discard(self, letter_id: str) -> Outcome:
        """Have one left out for good; the events that wait for it are replayed."""
        letter = self._find(letter_id)
        if letter["state"] == FOREIGN:
            self._letters.delete_one({"_id": letter_id})
            return Outcome([letter_id])
        if letter["state"] == DISCARDED:
            return Outcome([letter_id])
        return self._request([letter], DISCARD)

    def _request(self, letters: list[Document], what: str) -> Outcome:
        ids = [letter["_id"] for letter in letters]
        for some in _in_chunks(ids):
            asked = [UpdateOne({"_id": letter_id}, {"$set": {"asked": what}}) for letter_id in some]
            self._letters.bulk_write(asked, ordered=False)
        give_up_at = time.monotonic() + self._wait_seconds
        while any(self._letters.find_one({"_id": i, "asked": what}) for i in ids):
            if time.monotonic() > give_up_at:
                raise CannotRun(
                    f"no projector carried it out within {self._wait_seconds:.0f} s; one will when"
                    " it runs"
                )
            # A projector carries it out within a second; only the document shows that.
            threading.Event().wait(0.1)
        outcome = Outcome()
        for letter in letters:
            left = self._letters.find_one({"_id": letter["_id"]})
            if left is None or left["state"] == DISCARDED:
                outcome.settled.append(letter["_id"])
            else:
                cause = left["cause"] or "an earlier event of its aggregate is dead"
                outcome.still_dead[letter["_id"]] = cause
        return outcome

    async def _refresh(self, aggregates: set[str]) -> None:
        """Take the events' bytes from the log."""
        assert self._settings.postgres_url is not None
        try:
            connection = await cursor.connect(self._settings.postgres_url)
            try:
                for aggregate in aggregates:
                    await self._refresh_one(connection, aggregate)
            finally:
                connection.terminate()
        except postgres.FAILURES as error:
            raise CannotRun(f"PostgreSQL does not respond: {reason(error)}") from error

    async def _refresh_one(self, connection: asyncpg.Connection, aggregate: str) -> None:
        held_up = {"aggregate": aggregate, "state": {"$in": [PARKED, WAITING]}}
        letters = {int(x["position"]): x for x in self._letters.find(held_up, {"value": 0})}
        for some in _in_chunks(sorted(letters)):
            rows = await connection.fetch(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE position = ANY ($1)", some
            )
            updates = []
            for event in (envelope_from_row(tuple(row)) for row in rows):
                letter = letters[event.position]
                if event.aggregate != aggregate:
                    raise BadUse(f"position {event.position} of the log is {event.aggregate}'s")
                # Only the record names its predecessor in the lane; the log does not have it.
                previous = int(dict(letter["headers"])["lane_previous"])
                fresh = {
                    "topic": self._settings.kafka_topic_prefix + event.event_type,
                    "key": aggregate,
                    "value": kafka_value(event.event_type, event.payload),
                    "headers": [list(p) for p in record_headers(event, aggregate, previous)],
                }
                updates.append(UpdateOne({"_id": letter["_id"]}, {"$set": fresh}))
            if updates:
                self._letters.bulk_write(updates, ordered=False)


def _in_chunks(items: list[Any]) -> Iterable[list[Any]]:
    return (items[start : start + IDS_AT_ONCE] for start in range(0, len(items), IDS_AT_ONCE))


def _order(letter: Document) -> tuple[bool, int, str]:
    position = letter["position"]
    return (position is None, int(position or 0), letter["_id"])


def _text(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
