"""The schemas of the events and the AsyncAPI document say exactly what is sent."""

import json
from typing import Any

import jsonschema
import pytest
from confluent_kafka import Message

from generate import events
from storelog.shop.events import EVENT_TYPES
from support.kafka import headers_of, read_events, read_watermarks
from support.system import ANN, CAKE_STAND, System

DOCUMENT = events.asyncapi()


@pytest.fixture(scope="module")
def sent(shop: System) -> list[Message]:
    """Every record of a shop in which each of the nine events has happened."""
    customer = shop.new_customer()["customerId"]
    product = shop.new_product()["productId"]
    order = shop.new_order(customer, (product, 2), (product, 1))["orderId"]
    traced = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    for method, path, body in (
        ("PUT", f"/customers/{customer}", ANN),
        ("PUT", f"/products/{product}", CAKE_STAND),
        ("POST", f"/products/{product}/stock-adjustments", {"delta": -2, "reason": "broken"}),
        ("DELETE", f"/orders/{order}", None),
        ("DELETE", f"/products/{product}", None),
        ("DELETE", f"/customers/{customer}", None),
    ):
        reply = shop.commands.send(method, path, body, traced)
        assert reply.status < 300, reply.raw
    shop.wait_projected(reply.position)
    return read_events(shop.settings)


def check(value: Any, schema: Any) -> None:
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(value)


def test_every_value_is_as_the_schema_of_its_event_and_version_says(sent: list[Message]) -> None:
    schemas = events.schemas()
    seen = set()
    for message in sent:
        headers, value = headers_of(message), json.loads(message.value() or b"")
        check(value, schemas[f"{headers['ce_type']}.v{headers['schema_version']}"])
        assert value["eventType"] == headers["ce_type"]
        seen.add((headers["ce_type"], value["payload"].get("reason")))
    reasons = {("ProductUpdated", r) for r in ("Changed", "StockAdjusted", "OrderDeleted")}
    others = {(kind, None) for kind in EVENT_TYPES if kind != "ProductUpdated"}
    assert seen == reasons | others


def test_every_header_and_key_is_as_the_document_says(sent: list[Message], shop: System) -> None:
    schema = DOCUMENT["components"]["schemas"]["RecordHeaders"]
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    for message in sent:
        headers = headers_of(message)
        check(headers, schema)
        topic = str(message.topic()).removeprefix(shop.settings.kafka_topic_prefix)
        assert topic == headers["ce_type"]
        assert topic in addresses
        key = (message.key() or b"").decode()
        check(key, DOCUMENT["components"]["messages"][topic]["bindings"]["kafka"]["key"])
        assert key == headers["ce_subject"]


def test_watermarks_are_as_the_document_says(sent: list[Message], shop: System) -> None:
    marks = read_watermarks(shop.settings)
    assert marks
    for message in marks:
        check(json.loads(message.value() or b""), events.watermark())
        assert message.key() == b"watermark"
