"""The relay: Kafka has the log, in lanes, whichever process dies on the way."""

import asyncio
import json
import signal
import threading
from collections import defaultdict

import asyncpg
import pytest

from storelog.config import Settings
from storelog.event_codec import lane_of
from support.http import Client
from support.kafka import headers_of, read_events, read_watermarks
from support.load import place_orders
from support.system import ANN, CAKE_STAND, System, wait_for

RELAYED = ("command-service", "relay")


def relayed(system: System) -> int:
    return int(system.sql("SELECT position FROM relay_cursor")[0]["position"])


def wait_relayed(system: System) -> None:
    target = system.written()
    wait_for(lambda: relayed(system) >= target, f"relayed {target}: {system.log('relay')}")


def test_the_nine_topics_carry_the_contracts_records(settings: Settings) -> None:
    with System(settings, RELAYED) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product()["productId"]
        order = system.new_order(customer, (product, 2))
        system.commands.delete(f"/orders/{order['orderId']}")
        system.commands.put(f"/customers/{customer}", ANN)
        system.commands.put(f"/products/{product}", CAKE_STAND)
        system.commands.delete(f"/products/{product}")
        system.commands.delete(f"/customers/{customer}")
        wait_relayed(system)
        events = system.commands.get("/events").json["items"]
        stored = {row["position"]: row for row in system.sql("SELECT * FROM events")}
    records = read_events(settings)
    assert len(records) == len(events) == 10
    assert {e["eventType"] for e in events} == {
        str(r.topic()).removeprefix(settings.kafka_topic_prefix) for r in records
    }
    assert len({record.topic() for record in records}) == 9
    for record in records:
        headers = headers_of(record)
        event = events[int(headers["position"]) - 1]
        row = stored[event["position"]]
        assert record.topic() == settings.kafka_topic_prefix + event["eventType"]
        assert (record.key() or b"").decode() == event["aggregate"]
        value = json.loads(record.value() or b"")
        assert value == {"eventType": event["eventType"], "payload": event["payload"]}
        assert headers["ce_specversion"] == "1.0"
        assert headers["ce_id"] == event["eventId"]
        assert headers["ce_type"] == event["eventType"]
        assert headers["ce_time"] == event["occurredAt"]
        assert headers["ce_subject"] == event["aggregate"]
        assert headers["content-type"] == "application/json"
        assert int(headers["aggregate_version"]) == event["version"]
        assert int(headers["schema_version"]) == event["schemaVersion"]
        assert headers["hash"] == row["hash"].hex()
        owner = f"customer-{customer}" if "order-" in event["aggregate"] else event["aggregate"]
        assert record.partition() == lane_of(owner, 3)


def test_each_lane_is_a_chain_and_each_watermark_names_its_last_positions(
    settings: Settings,
) -> None:
    with System(settings, RELAYED) as system:
        customers = [system.new_customer()["customerId"] for _ in range(5)]
        products = [system.new_product(stock=500)["productId"] for _ in range(5)]
        for number in range(20):
            system.new_order(customers[number % 5], (products[number % 5], 1), (products[0], 1))
        wait_relayed(system)
        written = system.written()
        wait_for(
            lambda: (
                max(json.loads(m.value() or b"")["position"] for m in read_watermarks(settings))
                == written
            ),
            "a watermark at the end",
        )
    lanes: dict[int, dict[int, int]] = defaultdict(dict)
    for record in read_events(settings):
        headers = headers_of(record)
        lanes[record.partition() or 0][int(headers["lane_previous"])] = int(headers["position"])
    ends = []
    for lane in range(3):
        at, steps = 0, 0
        while at in lanes[lane]:
            at, steps = lanes[lane][at], steps + 1
        assert steps == len(lanes[lane])
        ends.append(at)
    last = max(
        (json.loads(m.value() or b"") for m in read_watermarks(settings)),
        key=lambda m: m["position"],
    )
    assert last["lanes"] == ends


def test_a_killed_relay_loses_nothing_and_repeats_in_order(settings: Settings) -> None:
    with System(settings, RELAYED) as system:
        customer = system.new_customer()["customerId"]
        product = system.new_product(stock=1_000_000)["productId"]
        body = {"customerId": customer, "orderItems": [{"productId": product, "quantity": 1}]}
        enough = threading.Event()

        def place_until_enough() -> None:
            while not enough.is_set():
                place_orders([system.commands.url], [body] * 100, 32)

        load = threading.Thread(target=place_until_enough)
        load.start()
        for _ in range(3):
            start = relayed(system)
            wait_for(lambda start=start: relayed(system) > start, "the relay to go on")  # type: ignore[misc]
            system.signal("relay", signal.SIGKILL)
            system.start("relay")
        enough.set()
        load.join(60)
        wait_relayed(system)
        written = system.written()
    first_seen: dict[int, int] = {}
    versions: dict[bytes, int] = defaultdict(int)
    per_topic: dict[str, list[tuple[int, bytes, int]]] = defaultdict(list)
    for record in read_events(settings):
        headers = headers_of(record)
        position = int(headers["position"])
        if position not in first_seen:
            first_seen[position] = record.offset() or 0
            place = (
                record.offset() or 0,
                bytes(record.key() or b""),
                int(headers["aggregate_version"]),
            )
            per_topic[f"{record.topic()}/{record.partition()}"].append(place)
    assert sorted(first_seen) == list(range(1, written + 1))
    for places in per_topic.values():
        versions.clear()
        for _, key, version in sorted(places):
            assert version > versions[key]
            versions[key] = version


@pytest.mark.alone
def test_one_relay_is_active_and_another_takes_over(settings: Settings) -> None:
    with System(settings, RELAYED) as system, System(settings, ()) as other:
        system.new_customer()
        wait_relayed(system)
        other.start("relay")
        address = other._urls["relay"]
        standby = Client(address)

        def answers() -> bool:
            try:
                return standby.get("/health/live").status == 200
            except OSError:
                return False

        wait_for(answers, "the second relay's health")
        assert standby.get("/health/ready").status == 503
        system.signal("relay", signal.SIGKILL)
        wait_for(lambda: standby.get("/health/ready").status == 200, "the second relay to lead", 15)
        system.new_customer()
        wait_relayed(system)


def test_a_log_that_was_restored_to_an_earlier_time_is_not_mixed_with_what_kafka_has(
    settings: Settings,
) -> None:
    with System(settings, RELAYED) as system:
        for _ in range(3):
            system.new_customer()
        wait_relayed(system)
        wait_for(lambda: read_watermarks(settings), "a watermark")
        system.signal("relay", signal.SIGTERM)
        system.exit_code("relay")

        async def restore() -> None:
            connection = await asyncpg.connect(settings.postgres_url)
            await connection.execute(
                "ALTER TABLE events DISABLE TRIGGER events_are_append_only;"
                "DELETE FROM events WHERE position > 1;"
                "UPDATE log_head SET position = 1,"
                " hash = (SELECT hash FROM events WHERE position = 1);"
                "UPDATE relay_cursor SET position = 1"
            )
            await connection.close()

        asyncio.run(restore())
        system.start("relay")
        assert system.exit_code("relay") == 3
        assert "Kafka has seen position 3" in system.log("relay")
