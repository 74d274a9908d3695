"""Writes the sums that a batch changes: each document is read, and replaced if it is unchanged.

Guarantees that a sum includes an event once, even after repeats. Next: projector/batch.py
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.int64 import Int64
from pymongo import ReplaceOne
from pymongo.collection import Collection
from pymongo.database import Database

from storelog.projector.checkpoints import Fenced
from storelog.projector.write.transaction import BatchTransaction
from storelog.read_models.totals import (
    Addition,
    Sum,
    TotalKey,
    TotalsModel,
    id_of_total,
    missing,
    total_with,
    with_late,
)
from storelog.read_side import IDS_AT_ONCE

Document = dict[str, Any]
# A lane and a key, which together have one document.
TotalPlace = tuple[int, TotalKey]


class TotalsWriter:
    """Writes the sums of one batch after the other."""

    def __init__(
        self,
        database: Database[Document],
        transaction: BatchTransaction,
        models: Mapping[TotalsModel, int],
        letters: str,
    ) -> None:
        """`models`: each with its stored shape. `letters`: the collection of dead letters."""
        self._database = database
        self._transaction = transaction
        self._sums = {model.collection: model.sums_of(shape) for model, shape in models.items()}
        self._letters = database[letters]

    def write(
        self, sums: Mapping[str, Mapping[TotalPlace, Sequence[Addition]]], *, are_late: bool
    ) -> None:
        """Write additions, given by collection; those that a sum includes already are left out.

        `are_late`: the events waited as dead letters. Raises PyMongoError and Fenced.
        """
        for name, documents in sums.items():
            self._write(self._database[name], documents, self._sums[name], are_late=are_late)

    def _write(
        self,
        collection: Collection[Document],
        documents: Mapping[TotalPlace, Sequence[Addition]],
        sums: Sequence[Sum],
        *,
        are_late: bool,
    ) -> None:
        known = self._read(collection, [id_of_total(*place) for place in documents])
        moves: list[ReplaceOne[Document]] = []
        for place, additions in documents.items():
            name = id_of_total(*place)
            found = known.get(name)
            left = missing(found, additions, are_late=are_late)
            if not left:
                continue
            late = {int(position) for position in (found or {}).get("late", ())}
            if are_late:
                late = self._may_come_again(late) | {position for position, _ in left}
            document = with_late(total_with(found, place, left, sums), late)
            # Another writer moves the position, so its document does not match: nothing is lost.
            same = {"_id": name, "position": Int64(0 if found is None else found["position"])}
            moves.append(ReplaceOne(same, document, upsert=found is None))
        if not moves:
            return
        with self._transaction.step() as session:
            done = collection.bulk_write(moves, ordered=False, session=session)
        if done.matched_count + len(done.upserted_ids or {}) < len(moves):
            raise Fenced(f"{collection.name} was written by another process")

    def _read(self, collection: Collection[Document], names: Sequence[str]) -> dict[str, Document]:
        found: dict[str, Document] = {}
        for start in range(0, len(names), IDS_AT_ONCE):
            some = {"_id": {"$in": list(names[start : start + IDS_AT_ONCE])}}
            with self._transaction.step() as session:
                found |= {each["_id"]: each for each in collection.find(some, session=session)}
        return found

    def _may_come_again(self, late: set[int]) -> set[int]:
        """Return the late positions whose dead letters still exist."""
        names = [str(position) for position in sorted(late)]
        there: set[int] = set()
        for start in range(0, len(names), IDS_AT_ONCE):
            some = {"_id": {"$in": names[start : start + IDS_AT_ONCE]}}
            there |= {int(each["_id"]) for each in self._letters.find(some, {"_id": 1})}
        return there
