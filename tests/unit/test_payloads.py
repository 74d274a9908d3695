"""The nine events' payloads, literally as the contract gives them."""

import json
from datetime import UTC

import jsonschema

from generate.events import value_schema
from storelog.event_codec import kafka_value
from storelog.shop.aggregate import recorded
from storelog.shop.customer import Customer, CustomerCreated, CustomerDeleted, CustomerUpdated
from storelog.shop.events import EVENT_TYPES, KINDS, Event
from storelog.shop.json_values import encode_json
from storelog.shop.kinds import Money, Time
from storelog.shop.order import Order, OrderCreated, OrderDeleted, OrderItem
from storelog.shop.product import (
    Product,
    ProductCreated,
    ProductDeleted,
    ProductSold,
    ProductUpdated,
    ReturnedLine,
)

AT = Time(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)
SHOWN_AT = "2026-01-31T12:00:00.005Z"
ANN = Customer(1, "Ann", "a@b", None)
LAMP = Product(5, "Lamp", Money("0.4250"), 7, stock_status=True, sku="L-7")
ORDER = Order(2, AT, 1, (OrderItem(9, 5, "Lamp", 3, Money("0.425")),), Money("1.28"))
CUSTOMER = {"customerId": 1, "name": "Ann", "email": "a@b", "phoneNumber": None}
PRODUCT = {
    "productId": 5,
    "name": "Lamp",
    "price": "0.425",
    "stock": 7,
    "stockStatus": True,
    "sku": "L-7",
}
PLACED = {
    "orderId": 2,
    "orderDate": SHOWN_AT,
    "customerId": 1,
    "orderItems": [
        {"itemId": 9, "productId": 5, "productName": "Lamp", "quantity": 3, "price": "0.425"}
    ],
    "totalPrice": "1.28",
}
EVENTS: list[tuple[Event, dict[str, object]]] = [
    (recorded(CustomerCreated, ANN), CUSTOMER),
    (recorded(CustomerUpdated, ANN), CUSTOMER),
    (recorded(CustomerDeleted, ANN, deleted_at=AT), CUSTOMER | {"deletedAt": SHOWN_AT}),
    (recorded(ProductCreated, LAMP), PRODUCT),
    (recorded(ProductUpdated, LAMP, reason="Changed"), PRODUCT | {"reason": "Changed"}),
    (
        recorded(ProductUpdated, LAMP, reason="StockAdjusted", delta=-2, note="broken"),
        PRODUCT | {"reason": "StockAdjusted", "delta": -2, "note": "broken"},
    ),
    (
        recorded(
            ProductUpdated,
            LAMP,
            reason="OrderDeleted",
            order_id=2,
            returned=(ReturnedLine(9, 3, Money("1.275"), AT),),
        ),
        PRODUCT
        | {
            "reason": "OrderDeleted",
            "orderId": 2,
            "returned": [
                {"itemId": 9, "quantity": 3, "productTotalPrice": "1.275", "soldAt": SHOWN_AT}
            ],
        },
    ),
    (
        ProductSold(
            9,
            5,
            "Lamp",
            Money("0.5"),
            3,
            0,
            False,
            2,
            1,
            Money("1.5"),
            AT,
        ),
        {
            "itemId": 9,
            "productId": 5,
            "productName": "Lamp",
            "productPrice": "0.50",
            "quantitySold": 3,
            "remainingStock": 0,
            "stockStatus": False,
            "orderId": 2,
            "customerId": 1,
            "productTotalPrice": "1.50",
            "soldAt": SHOWN_AT,
        },
    ),
    (recorded(ProductDeleted, LAMP, deleted_at=AT), PRODUCT | {"deletedAt": SHOWN_AT}),
    (recorded(OrderCreated, ORDER), PLACED),
    (recorded(OrderDeleted, ORDER, deleted_at=AT), PLACED | {"deletedAt": SHOWN_AT}),
]


def test_each_payload_is_the_contracts() -> None:
    for event, expected in EVENTS:
        assert json.loads(encode_json(event)) == expected
    assert {type(event).__name__ for event, _ in EVENTS} == set(EVENT_TYPES)


def test_kafkas_value_has_the_payloads_bytes_as_they_were_written() -> None:
    raw = encode_json(CUSTOMER)
    assert kafka_value("CustomerCreated", raw) == (
        b'{"eventType":"CustomerCreated","payload":' + raw + b"}"
    )


def test_each_payload_is_as_its_schema_says() -> None:
    for event, _ in EVENTS:
        kind = type(event).__name__
        value = json.loads(kafka_value(kind, encode_json(event)))
        jsonschema.validate(value, value_schema(kind, KINDS[kind].version))
