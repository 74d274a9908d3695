"""Replays the dead letters of an aggregate in order, or discards one, as an operator asked.

The owner of the lane does so between two batches, so it stays the only writer of its documents. At
every step the first event that still waits is marked as parked, and a letter is deleted after its
event is written. So a crash can repeat events, but a repeated event changes nothing.
Next: projector/fold/lane_fold.py
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from bson.int64 import Int64
from pymongo.database import Database

from storelog.envelope import utc_now
from storelog.errors import PoisonRecord
from storelog.projector import dead_letters
from storelog.projector.batch import Batch
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.dead_letters import DISCARD, DISCARDED, PARKED, RETRY, WAITING
from storelog.projector.fold.lane_fold import LaneFold
from storelog.projector.fold.left_out import FIRST_VERSION
from storelog.projector.receive.record import make_record
from storelog.projector.write.batch_writer import BatchWriter
from storelog.read_side import IDS_AT_ONCE

MAX_AGGREGATES = 100
MAX_EVENTS = 2_000
Document = dict[str, Any]
_log = structlog.get_logger()


class Retries:
    """The requests about dead letters in some lanes. All methods raise PyMongoError and Fenced."""

    def __init__(
        self,
        database: Database[Document],
        folds: Mapping[int, LaneFold],
        writer: BatchWriter,
    ) -> None:
        self._database = database
        self._letters = database[DEAD_LETTERS]
        self._folds = folds
        self._writer = writer

    def carry_out(self, lane: int) -> bool:
        """Act on the requests in a lane, and save its checkpoint; return whether there were any.

        The caller has written everything that was folded of the lane.
        """
        asked = {"asked": {"$in": [RETRY, DISCARD]}, "lane": lane}
        found = self._letters.find(asked, {"aggregate": 1}).limit(MAX_AGGREGATES)
        aggregates = {letter["aggregate"] for letter in found}
        fold = self._folds[lane]
        for aggregate in sorted(aggregates):
            self._discard(fold, aggregate)
            while self._replay(fold, aggregate):
                pass
        if aggregates:
            held_up = dead_letters.count(self._database, lane)
            place, bounds = self._writer.checkpoints[lane], self._writer.bounds[lane]
            self._writer.save([replace(place, dead_letters=held_up, bounds=bounds)])
        return bool(aggregates)

    def _discard(self, fold: LaneFold, aggregate: str) -> None:
        asked = self._letters.find({"aggregate": aggregate, "asked": DISCARD}, {"value": 0})
        for letter in list(asked.sort("position", 1)):
            position, version = int(letter["position"]), dead_letters.version_of(letter)
            if version == FIRST_VERSION:
                # Without its first event no later one can be applied: they are left out with it.
                self._letters.delete_many({"aggregate": aggregate, "state": WAITING})
            chain = self._chain(aggregate, 2)
            is_first = bool(chain) and chain[0]["_id"] == letter["_id"]
            if is_first and len(chain) > 1:
                self._park(fold, chain[1], "the event before it was discarded", asked=RETRY)
            fold.left_out.add(aggregate, position, version)
            done = {"$set": {"state": DISCARDED, "at": utc_now()}, "$unset": {"asked": ""}}
            self._letters.update_one({"_id": letter["_id"]}, done)
            if is_first and len(chain) == 1:
                fold.parked.pop(aggregate, None)

    def _chain(self, aggregate: str, limit: int) -> list[Document]:
        held_up = {"aggregate": aggregate, "state": {"$in": [PARKED, WAITING]}}
        return list(self._letters.find(held_up).sort("position", 1).limit(limit))

    def _replay(self, fold: LaneFold, aggregate: str) -> bool:
        """Replay the next events of the chain, if asked to; return whether more wait."""
        if self._letters.find_one({"aggregate": aggregate, "asked": RETRY}) is None:
            return False
        chain = self._chain(aggregate, MAX_EVENTS + 1)
        done, cause, batch = 0, None, Batch(is_late=True)
        while done < min(len(chain), MAX_EVENTS):
            cause = self._fold(fold, batch, chain[done])
            if cause is not None:
                break
            done += 1
        self._writer.write_events(batch)
        if done < len(chain):
            self._park(fold, chain[done], cause or "the events before it are replayed", asked=RETRY)
        self._forget(chain[:done])
        if cause is not None:
            # An event that still cannot be projected waits for the next request.
            asked = {"aggregate": aggregate, "asked": RETRY}
            self._letters.update_many(asked, {"$unset": {"asked": ""}})
        elif done == len(chain):
            fold.parked.pop(aggregate, None)
        _log.info("dead letters", aggregate=aggregate, replayed=done, cause=cause)
        return cause is None and done < len(chain)

    def _fold(self, fold: LaneFold, batch: Batch, letter: Document) -> str | None:
        """Fold a letter's event; return the cause if it still cannot be folded."""
        pairs = [(name, value) for name, value in letter["headers"]]
        place = letter["topic"], int(letter["lane"]), int(letter["offset"])
        try:
            record = make_record(*place, letter["key"], letter["value"], pairs)
            fold.fold_change(batch, fold.change_of(record))
        except PoisonRecord as poison:
            return str(poison)
        except Exception as bug:  # noqa: BLE001  a bug in a fold holds up one aggregate, not the lane
            _log.exception("a fold failed again", position=int(letter["position"]))
            return repr(bug)
        return None

    def _park(self, fold: LaneFold, letter: Document, cause: str, *, asked: str) -> None:
        tries = Int64(int(letter.get("tries", 0)) + 1)
        fields = {"state": PARKED, "cause": cause, "asked": asked, "tries": tries, "at": utc_now()}
        self._letters.update_one({"_id": letter["_id"]}, {"$set": fields})
        fold.parked[letter["aggregate"]] = int(letter["position"])

    def _forget(self, letters: list[Document]) -> None:
        """Delete letters, the first one last: it is the one that holds up new events."""
        ids = [letter["_id"] for letter in letters]
        for start in range(1, len(ids), IDS_AT_ONCE):
            self._letters.delete_many({"_id": {"$in": ids[start : start + IDS_AT_ONCE]}})
        if ids:
            self._letters.delete_one({"_id": ids[0]})
