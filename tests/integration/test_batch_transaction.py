"""A batch's transaction: documents of another time get nothing of it."""

from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database

from storelog.projector.checkpoints import CHECKPOINTS, Checkpoint, Fenced
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
