"""A batch's transaction: documents of another time get nothing of it."""

from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database

from storelog.projector.checkpoints import CHECKPOINTS, Checkpoint, Fenced, load
from storelog.projector.write import transaction as module
from storelog.projector.write.transaction import BatchTransaction


@pytest.mark.parametrize("batches", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("has_transactions", [True, False])
def test_a_batch_that_follows_an_exchange_at_once_writes_nothing(
    database: Database[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    *,
    has_transactions: bool,
) -> None:
    if not has_transactions:
        monkeypatch.setattr(module, "_has_transactions", lambda _: False)
    place = Checkpoint(0)
    transaction = BatchTransaction(database, [place])
    transaction.save([replace(place, position=1)])
    older = database[CHECKPOINTS].find_one({"_id": 0}) or {}
    for position in range(2, 3 + batches):
        with transaction.batch():
            write(database, transaction, position)
    written = database.written.count_documents({})
    assert written == 1 + batches
    transaction = (
        transaction
        if batches
        else BatchTransaction(database, list(transaction.checkpoints.values()))
    )
    database[CHECKPOINTS].replace_one({"_id": 0}, older)
    with pytest.raises(Fenced), transaction.batch():
        write(database, transaction, 9)
    assert database.written.count_documents({}) == written


def write(database: Database[dict[str, Any]], transaction: BatchTransaction, position: int) -> None:
    with transaction.step() as session:
        database.written.insert_one({"_id": position}, session=session)
    transaction.save([replace(transaction.checkpoints[0], position=position)])


def test_documents_have_no_guard_of_their_own_once_no_earlier_batch_can_have_left_one_ahead(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GUARDED_EVENTS", 3)
    transaction = BatchTransaction(database, [Checkpoint(0), Checkpoint(1)])
    seen = []
    for first, written in (
        (0, {0: 9, 1: 9}),
        (None, {0: 3, 1: 9}),
        (1, {1: 9}),
        (None, {0: 9, 1: 2}),
        (None, {1: 1}),
        (None, {}),
    ):
        with transaction.batch():
            seen.append(transaction.is_settled)
            write(database, transaction, len(seen))
            if first is not None:
                transaction.is_first_in(first)
        assert not transaction.is_settled
        transaction.wrote(written)
    assert seen == [False, False, False, False, False, True]


def test_who_has_lost_a_lane_writes_nothing_though_the_lane_has_not_moved_since(
    database: Database[dict[str, Any]],
) -> None:
    loser = BatchTransaction(database, [Checkpoint(0)])
    for position in (1, 2):
        with loser.batch():
            write(database, loser, position)
    winner = BatchTransaction(database, module.take_over(database, [0]))
    with winner.batch():
        # The loser comes between the winner's documents and its checkpoint.
        with pytest.raises(Fenced), loser.batch():
            write(database, loser, 3)
        write(database, winner, 4)
    assert sorted(database.written.distinct("_id")) == [1, 2, 4]
    assert load(database, [0])[0].position == 4
