"""Many of each process, and lanes made more under load, however often that is interrupted."""

import asyncio
import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient

from storelog import change_lock
from storelog.config import Settings
from storelog.envelope import Envelope
from storelog.event_codec import lane_of
from storelog.kafka import client_settings, event_topics, watermark_topic
from storelog.read_side import database_name
from storelog.relay import cursor
from storelog.relay.publisher import Publisher
from storelog.torture.checks.progress import whole_log
from storelog.torture.checks.topics import check_topics
from storelog.torture.report import TortureReport
from storelog.upkeep import lanes as lanes_module
from storelog.upkeep.lanes import set_lanes
from support.http import Client
from support.kafka import headers_of, read_events, read_topics
from support.load import place_orders
from support.system import System, trade, wait_for

ORDERS = 1_500


class _Killed(BaseException):
    """Stands for a kill -9 at one step of the change."""


def die(*_: object) -> None:
    raise _Killed


async def leave(*_: object) -> None:
    """Stand in for what a process does that has time to."""


def interrupt(settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Run the change and let it die at a step."""
    with monkeypatch.context() as patched:
        owner: Any = lanes_module
        if step.startswith("_"):
            owner = lanes_module._Change
        patched.setattr(owner, step, die)
        # The dead take nothing back.
        patched.setattr(lanes_module._Change, "_take_back", leave)
        with pytest.raises(_Killed):
            asyncio.run(set_lanes(settings, 6, lambda *_: None))


class Load:
    """Orders to three Command Services in turn, for as long as the change takes."""

    def __init__(self, systems: Sequence[System]) -> None:
        first = systems[0]
        self.customers = [first.new_customer()["customerId"] for _ in range(12)]
        self.products = [first.new_product(stock=100_000)["productId"] for _ in range(12)]
        self._urls = [one.commands.url for one in systems]
        self.statuses: Counter[int] = Counter()
        self._thread = threading.Thread(target=self._trade)
        self._thread.start()

    def _trade(self) -> None:
        bodies = [
            {
                "customerId": self.customers[n % 12],
                "orderItems": [
                    {"productId": self.products[(n + k) % 12], "quantity": 1} for k in (0, 5)
                ],
            }
            for n in range(ORDERS)
        ]
        for start in range(0, ORDERS, 100):
            self.statuses.update(place_orders(self._urls, bodies[start : start + 100], 8)[0])
            # The pace of the load, so that it lasts as long as the changes of lanes.
            threading.Event().wait(0.3)

    def join(self) -> None:
        self._thread.join(240)
        assert self.statuses == {201: ORDERS}


def test_lanes_are_raised_under_load_with_many_of_each(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = ("command-service", "projector")
    with (
        System(settings) as system,
        System(settings, many) as second,
        System(settings, many) as third,
    ):
        second.start("relay")  # It stands by.
        load = Load((system, second, third))
        # The last one is killed after the decision: the change is completed.
        for step in ("_drain", "add_partitions", "_let_the_relay_go_on", "switch"):
            interrupt(settings, monkeypatch, step)
        third.signal("projector", signal.SIGKILL)
        done = system.cli("lanes", "set", "6", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["lanes"] == 6
        third.start("projector")
        load.join()
        after = system.new_order(load.customers[0], (load.products[0], 1))["orderId"]
        system.wait_projected()
        assert system.queries.get(f"/orders/{after}").status == 200
        check_lanes(system)
        verified = system.cli("verify", "--json")
        assert verified.returncode == 0, verified.stdout
        assert system.cli("lanes", "set", "3").returncode == 2
        assert system.cli("lanes", "set", "6").returncode == 0
        assert system.cli("rebuild", "--from", "kafka").returncode == 0


def check_lanes(system: System) -> None:
    """Every topic has six partitions, and what came after the change lies in its owner's lane."""
    settings = system.settings
    known = AdminClient(client_settings(settings)).list_topics(timeout=10).topics
    topics = [*event_topics(settings), watermark_topic(settings)]
    assert {len(known[topic].partitions) for topic in topics} == {6}
    assert system.mongo.checkpoints.count_documents({}) == 6
    shown = json.loads(system.cli("lanes", "show", "--json").stdout)
    assert (shown["lanes"], shown["wanted"]) == (6, None)
    records = read_topics(settings, [f"{settings.kafka_topic_prefix}ProductSold"], lanes=6)
    newest = max(records, key=lambda record: int(headers_of(record)["position"]))
    assert newest.partition() == lane_of((newest.key() or b"").decode(), 6)


def test_an_emptied_mongodb_is_filled_by_a_rebuild_and_not_from_kafka_after_lanes_were_raised(
    system: System,
) -> None:
    trade(system)
    assert system.cli("lanes", "set", "6").returncode == 0
    system.new_order(3, (3, 1), (4, 1))
    # Now Kafka has each event in the order of three lanes, and in that of six: these after newer.
    assert system.cli("resend", "--from", "1").returncode == 0
    report = TortureReport(0, [], 0, False)
    check_topics(system.settings, whole_log(system.settings), frozenset(), report)
    assert report.breaches == []
    system.new_order(3, (3, 1), (4, 1))
    system.wait_projected()
    client, home = system.mongo.client, database_name(system.settings)
    for name in client.list_database_names():
        if name == home or name.startswith(f"{home}_r"):
            client.drop_database(name)

    wait_told_to_rebuild(system)
    customers = system.queries.get("/customers")
    assert (customers.position, customers.json["items"]) == (0, [])
    assert system.mongo.checkpoints.count_documents({}) == 0
    rebuilt = system.cli("rebuild", "--promote", "--json")
    assert json.loads(rebuilt.stdout)["promoted"], rebuilt.stderr
    system.new_order(3, (3, 1), (4, 1))
    system.wait_projected()
    assert Client(system.url("projector")).get("/health/ready").status == 200
    verified = system.cli("verify", "--json")
    assert verified.returncode == 0, verified.stdout


def wait_told_to_rebuild(system: System) -> None:
    projector = Client(system.url("projector"))

    def is_told() -> bool:
        return "storelog rebuild --promote" in str(projector.get("/health/ready").json)

    wait_for(is_told, f"the projector to say what to do; {system.log('projector')}")


def test_what_a_paused_relay_had_read_may_come_after_lanes_were_raised(system: System) -> None:
    """It comes in the lanes of before, where it follows the last event of another lane of today."""
    trade(system)
    # Customer 4 stays in the lane that product 3 leaves.
    system.commands.put("/customers/4", {"name": "New", "email": "a@b"})
    system.wait_projected()
    system.signal("relay", signal.SIGTERM)
    system.exit_code("relay")
    (sent,) = system.sql("SELECT position, lanes FROM relay_cursor")
    system.commands.put("/products/3", {"name": "New", "price": "1"})
    held = asyncio.run(read_log(system.settings, sent["position"]))
    paused = Publisher(system.settings)
    assert system.cli("lanes", "set", "6").returncode == 0
    asyncio.run(paused.publish(held, tuple(sent["lanes"])))
    paused.close()
    system.start("relay")
    system.wait_projected()
    system.commands.put("/customers/4", {"name": "Newer", "email": "a@b"})
    system.wait_projected()
    verified = system.cli("verify", "--json")
    assert verified.returncode == 0, verified.stdout


async def read_log(settings: Settings, position: int) -> Sequence[Envelope]:
    connection = await cursor.connect(settings.postgres_url or "")
    try:
        return await cursor.read_after(connection, position, 100)
    finally:
        await connection.close()


def test_nothing_is_sent_again_while_lanes_are_being_raised(settings: Settings) -> None:
    """Else newer events than the change knows of could come in the lanes of before."""
    with System(settings, ("command-service",)) as system:
        system.new_customer()
        system.sql("UPDATE relay_cursor SET lanes_wanted = 6")
        refused = asyncio.run(resend_meanwhile(system))
        assert refused.returncode == 3
        assert "a change of lanes is under way" in refused.stderr
        assert read_events(system.settings) == []
        # The change has ended by now, and is taken back.
        assert system.cli("resend", "--from", "1").returncode == 0
        assert len(read_events(system.settings)) == 1


async def resend_meanwhile(system: System) -> "subprocess.CompletedProcess[str]":
    """Send again while a change of the read side is under way."""
    connection = await asyncpg.connect(system.settings.postgres_url)
    try:
        await change_lock.take(connection)
        return await asyncio.to_thread(system.cli, "resend", "--from", "1")
    finally:
        await connection.close()


def test_a_read_model_of_before_lanes_were_raised_is_not_filled_from_kafka(system: System) -> None:
    trade(system)
    system.wait_projected()
    older = {
        name: list(system.mongo[name].find({})) for name in system.mongo.list_collection_names()
    }
    assert system.cli("lanes", "set", "6").returncode == 0
    system.new_order(3, (3, 1), (4, 1))
    system.wait_projected()
    home = system.mongo.client[database_name(system.settings)]
    position = min(int(place["safe"]) for place in older["checkpoints"])
    home["read_models"].delete_many({})
    for name, documents in older.items():
        home[name].delete_many({})
        if documents:
            home[name].insert_many(documents)

    wait_told_to_rebuild(system)
    assert system.queries.get("/customers").position == position
    assert system.cli("rebuild", "--promote").returncode == 0
    system.wait_projected()
    assert system.cli("verify").returncode == 0
