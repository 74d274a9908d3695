"""Rebuilding: beside the live read model, promoted without a step back, and rolled back."""

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from storelog.config import Settings
from storelog.kafka import client_settings
from storelog.upkeep import fill, sources
from storelog.upkeep import rebuild as rebuilding
from support.http import Reply
from support.projected import verified
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


def test_a_rebuilt_read_model_recovers_and_can_be_rolled_back(system: System) -> None:
    trade(system)
    system.wait_projected()
    home = system.mongo.name
    system.mongo.products.update_one({"_id": 3}, {"$set": {"name": "Spoilt", "stock": 99_999}})
    with readers_see_no_step_back(system):
        shown = rebuilt(system, "--from", "kafka")
        assert shown["promoted"] is False
        assert [(d["where"], d["id"], d["field"], d["found"]) for d in shown["differences"]] == [
            ("mongodb.products", 3, "name", "Spoilt"),
            ("mongodb.products", 3, "stock", 99_999),
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


def test_a_promotion_does_not_wait_for_a_read_model_that_nobody_fills(settings: Settings) -> None:
    waited_for = set[str]()

    def show(what: str, _done: int, _total: int) -> None:
        waited_for.add(what)

    with System(settings, ("command-service", "relay", "query-service")) as system:
        customer = system.new_customer()["customerId"]
        relayed = "SELECT c.position = h.position AS is_so FROM relay_cursor c, log_head h"
        wait_for(lambda: system.sql(relayed)[0]["is_so"], "the relay")
        work = rebuilding.rebuild(system.settings, "log", show, promote=True)
        done = asyncio.run(work)
        assert (done.is_promoted, done.position) == (True, 1)
        assert [each["where"] for each in done.report.differences] == ["mongodb.checkpoints"]
        assert "live" not in waited_for
        found = system.queries.get(f"/customers/{customer}", {"Storelog-Wait-For": "1"})
        assert found.status == 200


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


# A service that reads these rows goes on with them, since the head of the log does not move.
SPOIL = """DO $$ BEGIN
    PERFORM FROM log_head FOR UPDATE;
    UPDATE products SET name = 'Spoilt', price = 1;
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'storelog command-service' AND datname = current_database();
END $$"""
CONNECTED = """SELECT pid FROM pg_stat_activity
    WHERE application_name = 'storelog command-service' AND datname = current_database()"""
# Time for a service to come back between the end of its connections and the rebuild's commit.
SLOW_COMMIT = (
    "CREATE FUNCTION wait_a_moment() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER slow_commit AFTER UPDATE ON products DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW WHEN (OLD.name = 'Spoilt' AND NEW.name <> 'Spoilt')"
    " EXECUTE FUNCTION wait_a_moment()",
)


@contextmanager
def orders_go_on(system: System, product: int) -> Iterator[list[dict[str, Any]]]:
    """Place orders from several threads; yields every order that got a 201."""
    made: list[dict[str, Any]] = []
    wrong: list[Reply] = []
    stop = threading.Event()
    customer = system.new_customer()["customerId"]
    body = {"customerId": customer, "orderItems": [{"productId": product, "quantity": 1}]}

    def place() -> None:
        while not stop.is_set():
            reply = system.commands.post("/orders", body)
            if reply.status == 201:
                made.append(reply.json)
            elif reply.status != 503:
                wrong.append(reply)
                return

    threads = [threading.Thread(target=place) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_state_tables_are_rebuilt_beside_orders_that_were_decided_on_wrong_rows(
    system: System,
) -> None:
    product = system.new_product(stock=1_000_000)["productId"]
    with orders_go_on(system, product) as made:

        def is_spoilt() -> bool:
            system.sql(SPOIL)
            seen = len(made)
            wait_for(lambda: len(made) > seen + 20, "orders")
            return bool(made[-1]["orderItems"][0]["productName"] == "Spoilt")

        for _ in range(3):
            wait_for(is_spoilt, "a service that has read wrong rows")
            done = system.cli("rebuild", "--state-tables", "--json")
            assert done.returncode == 0, done.stderr
            (row,) = system.sql("SELECT name, price FROM products")
            assert (row["name"], row["price"]) == ("Cake stand", Decimal("12.75"))
            seen = len(made)
            wait_for(lambda seen=seen: len(made) > seen + 20, "orders")  # type: ignore[misc]
            assert made[-1]["orderItems"][0]["productName"] == "Cake stand"
    verified(system)
    written = system.sql("SELECT aggregate_id FROM events WHERE event_type = 'OrderCreated'")
    assert {order["orderId"] for order in made} <= {row["aggregate_id"] for row in written}
    (left,) = system.sql("SELECT stock FROM products")
    assert left["stock"] == 1_000_000 - len(written)


def test_a_service_that_comes_back_before_the_rebuild_has_committed_reads_no_wrong_rows(
    settings: Settings,
) -> None:
    with System(settings, ("command-service",)) as system:
        for statement in SLOW_COMMIT:
            system.sql(statement)
        customer, product = system.new_customer()["customerId"], system.new_product()["productId"]
        system.sql(SPOIL)
        assert system.new_order(customer, (product, 1))["orderItems"][0]["productName"] == "Spoilt"
        done: list[Any] = []
        rebuild = threading.Thread(
            target=lambda: done.append(system.cli("rebuild", "--state-tables"))
        )
        before = system.sql(CONNECTED)
        rebuild.start()
        # It may have come back by the next look: its old connections are what ends.
        wait_for(lambda: not any(one in before for one in system.sql(CONNECTED)), "their end")
        lines = {"customerId": customer, "orderItems": [{"productId": product, "quantity": 1}]}
        early = system.commands.post("/orders", lines)
        rebuild.join(60)
        assert done[0].returncode == 0, done[0].stderr
        assert early.status == 503 or "Cake stand" in early.raw.decode()
        assert system.sql("SELECT name FROM products") == [{"name": "Cake stand"}]
        made = system.new_order(customer, (product, 1))
        assert made["orderItems"][0]["productName"] == "Cake stand"
