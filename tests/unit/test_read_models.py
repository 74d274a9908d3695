"""The folds: what each event does to the documents, and what must never go in."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from storelog.documents.ledgers import pack_facts, to_decimal, unpack_facts
from storelog.errors import PoisonRecord
from storelog.projector.fold.order_facts import fact_of
from storelog.read_models.change import Change, EventOrigin, read_change
from storelog.read_models.listed import DOCUMENT_MODELS

BY_COLLECTION = {model.collection: model for model in DOCUMENT_MODELS}
ORIGIN = EventOrigin(datetime(2026, 2, 1, tzinfo=UTC), "till", "c1")
AT = "2026-01-31T23:59:59.999Z"
PRODUCT = {"productId": 5, "name": "Lamp", "price": "0.425", "stock": 7, "stockStatus": True}
SALE = {
    "itemId": 9,
    "productId": 5,
    "productName": "Lamp",
    "productPrice": "0.425",
    "quantitySold": 3,
    "remainingStock": 4,
    "stockStatus": True,
    "orderId": 2,
    "customerId": 1,
    "productTotalPrice": "1.275",
    "soldAt": AT,
}
ORDER: dict[str, Any] = {
    "orderId": 2,
    "orderDate": AT,
    "customerId": 1,
    "orderItems": [
        {"itemId": 9, "productId": 5, "productName": "Lamp", "quantity": 3, "price": "0.425"},
        {"itemId": 10, "productId": 5, "productName": "Lamp", "quantity": 1, "price": "0.425"},
    ],
    "totalPrice": "1.70",
}


def change(kind: str, payload: dict[str, Any], position: int = 7, version: int = 2) -> Change:
    subject = next(
        f"{name}-{payload[name + 'Id']}"
        for name in ("order" if kind.startswith("Order") else "product", "customer")
        if f"{name}Id" in payload
    )
    return read_change(position, kind, subject, version, 1, msgspec.json.encode(payload), ORIGIN)


def test_a_product_document_has_the_contracts_names_and_types() -> None:
    (write,) = BY_COLLECTION["products"].fold(change("ProductCreated", PRODUCT, version=1))
    assert (write.collection, write.document_id, write.is_new) == ("products", 5, True)
    assert write.fields == {
        "product_id": 5,
        "name": "Lamp",
        "price": Decimal128("0.425"),
        "stock": 7,
        "stockStatus": True,
        "sku": None,
        "deleted": False,
        "created": {
            "position": 7,
            "recordedAt": ORIGIN.recorded_at,
            "caller": "till",
            "correlationId": "c1",
        },
        "bodyPosition": 7,
        "version": 1,
        "position": 7,
    }
    assert type(write.fields["product_id"]) is Int64


def test_a_sale_sets_the_stock_of_its_product_and_nothing_else() -> None:
    (write,) = BY_COLLECTION["products"].fold(change("ProductSold", SALE))
    assert write.fields == {"stock": 4, "stockStatus": True, "version": 2, "position": 7}
    assert not write.is_new
    assert not write.is_whole


def test_a_sale_is_one_document_of_product_sold() -> None:
    (write,) = BY_COLLECTION["product_sold"].fold(change("ProductSold", SALE))
    assert write.document_id == 9
    assert write.fields == {
        "productId": 5,
        "productName": "Lamp",
        "productPrice": Decimal128("0.425"),
        "quantitySold": 3,
        "remainingStock": 4,
        "stockStatus": True,
        "orderId": 2,
        "customerId": 1,
        "productTotalPrice": Decimal128("1.275"),
        "soldAt": datetime(2026, 1, 31, 23, 59, 59, 999000, tzinfo=UTC),
        "position": 7,
    }


def test_an_order_document_has_dbrefs_and_embedded_items() -> None:
    (write,) = BY_COLLECTION["orders"].fold(change("OrderCreated", ORDER, version=1))
    assert write.fields["customer"] == {"$ref": "customers", "$id": 1}
    assert write.fields["orderItems"][0] == {
        "itemId": 9,
        "product": {"$ref": "products", "$id": 5},
        "productId": 5,
        "productName": "Lamp",
        "quantity": 3,
        "price": Decimal128("0.425"),
    }
    assert write.fields["totalPrice"] == Decimal128("1.70")


def test_a_deleted_order_stays_as_a_tombstone_and_marks_its_sales() -> None:
    deleted = change("OrderDeleted", ORDER | {"deletedAt": AT})
    (write,) = BY_COLLECTION["orders"].fold(deleted)
    assert write.fields["deleted"] is True
    assert write.fields["deletedAt"].year == 2026
    marks = BY_COLLECTION["product_sold"].fold(deleted)
    assert [mark.document_id for mark in marks] == [9, 10]
    assert all(mark.is_mark and mark.fields["cancelled"] for mark in marks)


def test_a_customer_document_keeps_a_missing_phone_as_null() -> None:
    body = {"customerId": 1, "name": "Ann", "email": "a@b", "phoneNumber": None}
    (write,) = BY_COLLECTION["customers"].fold(change("CustomerUpdated", body))
    assert write.fields["phoneNumber"] is None
    assert write.fields["customer_id"] == 1


def test_an_order_is_one_fact_with_a_line_for_each_product() -> None:
    fact = fact_of(change("OrderCreated", ORDER))
    assert fact is not None
    assert (fact.position, fact.sign, fact.customer) == (7, 1, 1)
    assert fact.lines == ((5, 4, 17_000),)
    assert to_decimal(fact.amount) == Decimal("1.7")
    assert fact.at_ms == 1_769_903_999_999


def test_a_deleted_order_takes_away_exactly_what_it_added() -> None:
    added = fact_of(change("OrderCreated", ORDER))
    taken = fact_of(change("OrderDeleted", ORDER | {"deletedAt": AT}))
    assert added is not None
    assert taken == replace(added, sign=-1)


@pytest.mark.parametrize(
    ("kind", "payload", "cause"),
    [
        ("ProductSold", SALE | {"quantitySold": "3"}, "quantitySold"),
        ("ProductSold", {k: v for k, v in SALE.items() if k != "soldAt"}, "soldAt"),
        ("ProductCreated", PRODUCT | {"price": None}, "price"),
        ("OrderCreated", ORDER | {"orderItems": [{}]}, "itemId"),
        ("OrderDeleted", ORDER, "deletedAt"),
        ("ProductCreated", PRODUCT | {"price": "1E+999999"}, "digits - at `..price`"),
        ("ProductCreated", PRODUCT | {"price": "1E-999999"}, "digits - at `..price`"),
        ("ProductCreated", PRODUCT | {"price": "0." + "1" * 35}, "too many digits"),
        ("OrderCreated", ORDER | {"totalPrice": "9" * 35}, "digits - at `..totalPrice`"),
        ("ProductSold", SALE | {"quantitySold": 2**62}, "quantitySold"),
        ("ProductSold", SALE | {"soldAt": "0001-01-01T00:00:00.000+02:00"}, "years 1 to 9999"),
        ("ProductSold", SALE | {"soldAt": "9999-12-31T23:59:59.999-02:00"}, "years 1 to 9999"),
        ("ProductSold", SALE | {"soldAt": "2026-01-31T23:59:59.999"}, "no time zone"),
    ],
)
def test_a_breach_of_the_schema_is_poison(kind: str, payload: dict[str, Any], cause: str) -> None:
    with pytest.raises(PoisonRecord, match=cause):
        change(kind, payload)


def test_amounts_that_the_totals_cannot_hold_are_poison() -> None:
    line = ORDER["orderItems"][0] | {"quantity": 1_000_000, "price": "9" * 21}
    with pytest.raises(PoisonRecord, match="more than the totals can hold"):
        fact_of(change("OrderCreated", ORDER | {"orderItems": [line]}))


def test_the_largest_order_of_all_can_be_read_and_packed() -> None:
    line = ORDER["orderItems"][0] | {"quantity": 1_000_000, "price": "9999999999"}
    largest = ORDER | {"orderItems": [line] * 2_000, "totalPrice": "19999999998000000000.00"}
    fact = fact_of(change("OrderCreated", largest))
    assert fact is not None
    assert fact.lines == ((5, 2_000_000_000, 199_999_999_980_000_000_000_000),)
    assert list(unpack_facts(pack_facts([fact]))) == [fact]


def test_a_time_with_an_offset_is_read_in_utc() -> None:
    (write,) = BY_COLLECTION["orders"].fold(
        change("OrderCreated", ORDER | {"orderDate": "2026-02-01T01:00:00+02:00"})
    )
    assert write.fields["orderDate"].isoformat() == "2026-01-31T23:00:00+00:00"


def test_unknown_types_versions_and_foreign_keys_are_poison() -> None:
    raw = msgspec.json.encode(PRODUCT)
    with pytest.raises(PoisonRecord, match="unknown event type"):
        read_change(1, "ProductEaten", "product-5", 1, 1, raw, ORIGIN)
    with pytest.raises(PoisonRecord, match="schema version 9"):
        read_change(1, "ProductCreated", "product-5", 1, 9, raw, ORIGIN)
    with pytest.raises(PoisonRecord, match="came under the key 'product-6'"):
        read_change(1, "ProductCreated", "product-6", 1, 1, raw, ORIGIN)
    with pytest.raises(PoisonRecord):
        read_change(1, "ProductCreated", "product-5", 1, 1, b"{", ORIGIN)
