"""Rebuilding: beside the live read model, promoted without a step back, and rolled back."""

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from storelog.config import Settings
from storelog.kafka import client_settings
from storelog.upkeep import fill, sources
from storelog.upkeep import rebuild as rebuilding
from support.system import System, trade, wait_for


def rebuilt(system: System, *argv: str) -> Any:
    done = system.cli("rebuild", *argv, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def readers_see_no_step_back(system: System) -> Iterator[None]:
    """Read on and on: no position is below an earlier one. A busy machine may say 503 at times."""
    wrong: list[str] = []
    good: list[int] = []
    stop = threading.Event()

    def read() -> None:
        last = 0
        while not stop.is_set():
            reply = system.queries.get("/orders")
            if reply.status == 503:
                continue
            if reply.status != 200 or reply.position < last:
                wrong.append(f"{reply.status} at {reply.headers} after {last}")
                return
            good.append(last := reply.position)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        reader.join(30)
    assert wrong == []
    assert len(good) > 20


def verified(system: System) -> None:
    done = system.cli("verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rebuilt_read_model_heals_and_can_be_rolled_back(system: System) -> None:
    trade(system)
    system.wait_projected()
    home = system.mongo.name
    system.mongo.products.update_one({"_id": 3}, {"$set": {"name": "Spoilt"}})
    with readers_see_no_step_back(system):
        shown = rebuilt(system, "--from", "kafka")
        assert shown["promoted"] is False
        assert [(d["where"], d["id"], d["field"], d["found"]) for d in shown["differences"]] == [
            ("mongodb.products", 3, "name", "Spoilt")
        ]
        system.new_order(3, (3, 1))
        shown = rebuilt(system, "--from", "log", "--promote")
        assert shown["promoted"] is True
        assert shown["previous"] == home
        wait_for(lambda: system.queries.get("/products/3").json["name"] == "Cake stand", "healed")
        system.new_order(3, (3, 1))
        system.wait_projected()
        assert system.mongo.name != home
        verified(system)
        shown = rebuilt(system, "--rollback")
        assert shown["database"] == home
        wait_for(lambda: system.queries.get("/products/3").json["name"] == "Spoilt", "old again")
        system.new_order(3, (3, 1))
        system.wait_projected()
    assert system.cli("verify", "--repair").returncode == 1
    verified(system)


def test_an_interrupted_rebuild_goes_on_and_an_abandoned_promotion_ends(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade(system)
    system.wait_projected()
    monkeypatch.setattr(fill, "MAX_EVENTS", 20)
    monkeypatch.setattr(sources, "READ_EVENTS", 20)

    def kill(what: str, done: int, total: int) -> None:
        if what == "events" and done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(rebuilding.rebuild(system.settings, "log", kill, promote=True))
    written = system.written()
    shown = rebuilt(system, "--from", "log")
    assert (shown["position"], shown["events"]) == (written, written - 40)
    assert shown["differences"] == []

    # It dies between freezing the live read model and the switch.
    def no_switch(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rebuilding, "switch", no_switch)
    monkeypatch.setattr(rebuilding, "thaw", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(rebuilding.rebuild(system.settings, "log", lambda *_: None, promote=True))
    system.new_customer()
    system.wait_projected()
    verified(system)


def test_from_a_shortened_kafka_it_says_so_and_from_the_log_it_works(system: System) -> None:
    trade(system)
    system.wait_projected()
    admin = AdminClient(client_settings(system.settings))
    topic = f"{system.settings.kafka_topic_prefix}CustomerCreated"
    places = [TopicPartition(topic, lane, -1) for lane in range(3)]
    for done in admin.delete_records(places, request_timeout=60).values():
        done.result(90)
    failed = system.cli("rebuild", "--from", "kafka")
    assert failed.returncode == 3
    assert "Kafka has no event 1" in failed.stderr
    assert rebuilt(system, "--from", "log")["differences"] == []


def test_state_tables_that_differ_become_what_the_log_says(settings: Settings) -> None:
    with System(settings, ("command-service",)) as system:
        trade(system)
        system.sql("UPDATE products SET stock = 0, name = 'Spoilt' WHERE product_id = 3")
        system.sql("DELETE FROM order_items WHERE item_id = 7")
        system.sql(
            "INSERT INTO orders (order_id, order_date, customer_id, total_price, version)"
            " VALUES (999, now(), 1, 1, 1)"
        )
        # A service that has read the wrong rows must not go on with them.
        system.signal("command-service", signal.SIGKILL)
        system.start("command-service")
        system.wait_ready("command-service")
        lines = {"customerId": 3, "orderItems": [{"productId": 3, "quantity": 1}]}
        assert system.commands.post("/orders", lines).slug == "insufficient-stock"
        done = system.cli("rebuild", "--state-tables", "--json")
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout.splitlines()[-1])
        assert sorted((d["where"], d["id"], d["field"]) for d in shown["differences"]) == [
            ("postgresql.order_items", 7, "row"),
            ("postgresql.orders", 999, "row"),
            ("postgresql.products", 3, "name"),
            ("postgresql.products", 3, "stock"),
        ]
        assert system.commands.post("/orders", lines).status == 201
        done = system.cli("rebuild", "--state-tables", "--json")
        assert json.loads(done.stdout.splitlines()[-1])["differences"] == []
        assert system.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'storelog_rebuild'") == []
