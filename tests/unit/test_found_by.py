"""By which of its values an entity is found: by the beginnings of words."""

from datetime import UTC, datetime

import msgspec
import pytest

from storelog.read_models.change import EventOrigin, read_change
from storelog.read_models.products.model import MODELS
from storelog.words import asked_words, heads_asked

ORIGIN = EventOrigin(datetime(2026, 2, 1, tzinfo=UTC), "till", "c1")
LAMP = {
    "productId": 5,
    "name": "Lamp",
    "price": "0.425",
    "stock": 7,
    "stockStatus": True,
    "sku": "Shelf-9/A",
}


@pytest.mark.parametrize("asked", ["lam", "Lamp", "shel", "shelf 9"])
def test_a_product_is_found_by_the_beginnings_of_its_name_and_of_its_sku(asked: str) -> None:
    payload = msgspec.json.encode(LAMP)
    created = read_change(7, "ProductCreated", "product-5", 1, 2, payload, ORIGIN)
    (write,) = MODELS[1].fold(created)
    for some in heads_asked(asked_words(asked)):
        assert set(some) & set(write.fields["words"])
