"""Documents that are ahead of their lane, after a crash or a loss: they keep their histories."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from storelog.documents.histories import OPEN, read_entries
from storelog.projector.batch import Batch
from storelog.projector.checkpoints import Checkpoint, load
from storelog.projector.databases.connection import make_indexes
from storelog.projector.databases.shapes import filled_models
from storelog.projector.fold.lane_fold import LaneFold
from storelog.projector.write import moments_writer, transaction
from storelog.projector.write.batch_writer import BatchWriter
from storelog.projector.write.transaction import Repeated
from storelog.read_models.change import Change, EventOrigin, read_change
from storelog.shop.json_values import encode_json

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = 40


def change(position: int) -> Change:
    """Return the event of that position and version: a product is made, then sold again."""
    product = {"productId": 1, "name": "Lamp", "price": "2.50", "stock": 100, "stockStatus": True}
    sale = {
        "itemId": position, "productId": 1, "productName": "Lamp", "productPrice": "2.50",
        "quantitySold": 1, "remainingStock": 100 - position, "stockStatus": True,
        "orderId": position, "customerId": 1, "productTotalPrice": "2.50",
        "soldAt": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    kind, payload = ("ProductCreated", product) if position == 1 else ("ProductSold", sale)
    origin = EventOrigin(BEGIN + timedelta(seconds=position), None, "c")
    return read_change(position, kind, "product-1", position, 1, encode_json(payload), origin)


class Projector:
    """What writes the one lane, as it is loaded from MongoDB."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        [place] = load(database, [0])
        models = filled_models(database)
        self.fold = LaneFold(database, 0, place.bounds, models, "")
        self.writer = BatchWriter(database, [place], models)

    def batch(self, first: int, last: int) -> Batch:
        batch = Batch(events=last - first + 1)
        for position in range(first, last + 1):
            self.fold.fold_next(batch, change(position))
        place = self.writer.checkpoints[0]
        batch.checkpoints[0] = replace(place, position=last, safe=last, hash=f"{last:064}")
        return batch


def product_of(database: Database[dict[str, Any]]) -> dict[str, Any]:
    found = database["products"].find_one({"_id": 1}) or {}
    closed = database["history"].find({}).sort("position", 1)
    buckets = [*closed, found.pop(OPEN)]
    versions = [entry.version for bucket in buckets for entry in read_entries(bucket)]
    assert versions == [*range(1, EVENTS + 1)]
    return found


def project(database: Database[dict[str, Any]], size: int) -> None:
    """Write all events, `size` at a time, though the product is there already."""
    ahead = product_of(database)
    projector, at = Projector(database), 0
    while at < EVENTS:
        last = min(at + size, EVENTS)
        try:
            projector.writer.write(projector.batch(at + 1, last))
        except Repeated:
            # A closed bucket of the history, or a block of moments, is there already.
            projector = Projector(database)
            continue
        at = last
        assert product_of(database) == ahead
    assert load(database, [0])[0].position == EVENTS
    assert database["product_sold"].count_documents({}) == EVENTS - 1


def forget_sales(database: Database[dict[str, Any]]) -> None:
    """Remove what would be met again in each batch, as where nothing was sold."""
    for name in ("product_sold", "changes"):
        database[name].delete_many({})


@pytest.mark.parametrize("size", [1, 3, 17])
def test_a_document_that_is_ahead_of_its_lane_stays_as_it_is_until_the_lane_is_there(
    database: Database[dict[str, Any]], size: int
) -> None:
    make_indexes(database)
    crashed = Projector(database)
    crashed.writer.write_events(crashed.batch(1, EVENTS))
    forget_sales(database)
    assert load(database, [0]) == [Checkpoint(0)]
    project(database, size)


@pytest.mark.parametrize("size", [1, 3])
def test_documents_that_are_far_ahead_of_a_lost_checkpoint_stay_as_they_are(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(transaction, "GUARDED_EVENTS", 2)
    monkeypatch.setattr(moments_writer, "BLOCK_ROWS", 4)
    make_indexes(database)
    projector = Projector(database)
    for first in range(1, EVENTS + 1, 4):
        projector.writer.write(projector.batch(first, first + 3))
    assert database["moments"].count_documents({}) > 0
    database["checkpoints"].delete_many({})
    forget_sales(database)
    project(database, size)
