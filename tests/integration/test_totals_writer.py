"""Sums in MongoDB: what is written again, late, or by a twin is in them once."""

from decimal import Decimal
from typing import Any

import pytest
from pymongo.database import Database

from storelog.projector.batch import Batch
from storelog.projector.checkpoints import Checkpoint, Fenced
from storelog.projector.databases.connection import DEAD_LETTERS
from storelog.projector.write.totals_writer import TotalsWriter
from storelog.projector.write.transaction import BatchTransaction
from storelog.read_models.totals import Added, Addition, Sum, TotalKey, TotalsModel

Sums = dict[str, dict[tuple[int, TotalKey], list[Addition]]]
NAME = "sums_of_tests"
SUMS = (Sum("count", "count", 1, None), Sum("amount", "amount", 1, None))
MODEL = TotalsModel(collection=NAME, shape=1, keys=str, sums=SUMS, fold=lambda _: ())


def writer_of(database: Database[dict[str, Any]], *lanes: int) -> TotalsWriter:
    transaction = BatchTransaction(database, [Checkpoint(lane) for lane in lanes])
    return TotalsWriter(database, transaction, {MODEL: 1}, DEAD_LETTERS)


def some(lane: int, *positions: int) -> Sums:
    batch = Batch()
    for position in positions:
        added = Added("blue", {"count": 1, "amount": Decimal("0.1")})
        batch.add_sums(NAME, lane, position, [added])
    return batch.sums


def held(database: Database[dict[str, Any]]) -> dict[str, tuple[int, Decimal]]:
    found = database[NAME].find({}).sort("_id")
    return {each["_id"]: (each["count"], each["amount"].to_decimal()) for each in found}


def test_lanes_add_to_one_key_beside_one_another_and_a_batch_that_comes_again_adds_nothing(
    database: Database[dict[str, Any]],
) -> None:
    writer_of(database, 0).write(some(0, 1, 4), are_late=False)
    writer_of(database, 1).write(some(1, 2), are_late=False)
    writer_of(database, 0).write(some(0, 1), are_late=False)
    writer_of(database, 0).write(some(0, 1, 4, 5), are_late=False)
    assert held(database) == {"0/blue": (3, Decimal("0.3")), "1/blue": (1, Decimal("0.1"))}


def test_a_letter_that_is_retried_again_after_a_crash_is_added_once(
    database: Database[dict[str, Any]],
) -> None:
    writer = writer_of(database, 0)
    writer.write(some(0, 1, 9), are_late=False)
    database[DEAD_LETTERS].insert_many([{"_id": "3"}, {"_id": "5"}])
    for _ in range(2):
        writer.write(some(0, 3, 5), are_late=True)
    assert held(database) == {"0/blue": (4, Decimal("0.4"))}
    # What is gone does not come again: it is not kept in mind.
    database[DEAD_LETTERS].delete_many({})
    writer.write(some(0, 7), are_late=True)
    (document,) = database[NAME].find({})
    assert (document["count"], document["late"]) == (5, [7])


def test_a_twin_that_goes_on_from_an_older_document_writes_nothing(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = writer_of(database, 0)
    twin.write(some(0, 1), are_late=False)
    older = {each["_id"]: each for each in database[NAME].find({})}
    writer_of(database, 0).write(some(0, 2), are_late=False)
    monkeypatch.setattr(twin, "_read", lambda *_: older)
    with pytest.raises(Fenced):
        twin.write(some(0, 3), are_late=False)
    assert held(database) == {"0/blue": (2, Decimal("0.2"))}
