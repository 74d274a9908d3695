"""An event of an older release: written in its own schema, read by everybody in the present one."""

import hashlib
import json
from typing import Any
from uuid import uuid4

from storelog.envelope import EVENT_COLUMNS, Envelope, chain_hash, envelope_from_row, utc_now
from storelog.shop.events import KINDS
from support.kafka import headers_of, read_topics
from support.system import System

INSERT = """INSERT INTO events (position, hash, event_id, aggregate_type, aggregate_id, version,
    event_type, schema_version, payload, payload_hash, occurred_at, recorded_at, correlation_id)
    VALUES ($1, $2, $3, 'product', $4, $5, 'ProductUpdated', 1, $6, $7, $8, $8, 'old')"""


def append_as_an_older_release_did(system: System, product: dict[str, Any], stock: int) -> int:
    """Append an adjustment of stock in version 1, which had no `note`; return its position."""
    row = system.sql(f"SELECT {EVENT_COLUMNS} FROM events ORDER BY position DESC LIMIT 1")[0]
    last = envelope_from_row(tuple(row.values()))
    delta = stock - product["stock"]
    changed = {**product, "stock": stock, "reason": "StockAdjusted", "delta": delta}
    payload, now, number = json.dumps(changed), utc_now(), product["productId"]
    event = Envelope(
        last.position + 1, b"", uuid4(), "product", number, 2, "ProductUpdated", 1,
        payload.encode(), now, now, "old",
    )  # fmt: skip
    payload_hash = hashlib.sha256(event.payload).digest()
    event.hash = chain_hash(last.hash, event, payload_hash)
    place = (event.position, event.hash, event.event_id, number, event.version)
    system.sql(INSERT, *place, payload, payload_hash, now)
    head = "UPDATE log_head SET position = $1, hash = $2, recorded_at = $3"
    system.sql(head, event.position, event.hash, now)
    system.sql("UPDATE products SET stock = $1, version = 2 WHERE product_id = $2", stock, number)
    return event.position


def test_an_event_of_an_older_schema_is_read_from_the_log_and_from_kafka(system: System) -> None:
    product = system.new_product(stock=10)
    position = append_as_an_older_release_did(system, product, 7)
    path = f"/products/{product['productId']}"
    adjusted = system.commands.post(f"{path}/stock-adjustments", {"delta": -2, "reason": "broken"})
    assert (adjusted.status, adjusted.json["stock"]) == (200, 5)
    system.wait_projected()
    assert system.queries.get(path).json["stock"] == 5
    newer = system.written()
    history = system.queries.get(f"/history{path}").json["items"]
    notes = {entry["position"]: entry["about"].get("note") for entry in history}
    assert (notes[position], notes[newer]) == (None, "broken")

    # What was written stays as it was written: in the log, in Kafka, for every reader.
    events = system.commands.get(f"/events?after={position - 1}").json["items"]
    assert [event["schemaVersion"] for event in events] == [1, KINDS["ProductUpdated"].version]
    assert "note" not in events[0]["payload"]
    topic = f"{system.settings.kafka_topic_prefix}ProductUpdated"
    versions = {
        int(headers["position"]): headers["schema_version"]
        for headers in map(headers_of, read_topics(system.settings, [topic]))
    }
    assert versions == {position: "1", newer: str(KINDS["ProductUpdated"].version)}
    assert system.cli("verify").returncode == 0
    for source in ("log", "kafka"):
        assert system.cli("rebuild", "--from", source).returncode == 0
