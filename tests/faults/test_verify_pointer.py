"""Verify names and repairs what says where the read model is, and from where Kafka is read on."""

import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from storelog.config import Settings
from storelog.kafka import watermark_topic
from storelog.verify import offsets as offsets_of_verify
from storelog.verify.offsets import Offsets
from storelog.verify.report import Report
from storelog.verify.verify import verify
from support.system import System, wait_for

Places = set[tuple[str, Any, str]]


def run(settings: Settings, *, repair: bool = False) -> Report:
    return asyncio.run(verify(settings, lambda *_: None, repair=repair))


def named(report: Report) -> Places:
    return {(d["where"].removeprefix("mongodb."), d["id"], d["field"]) for d in report.differences}


@pytest.fixture
def small(system: System) -> System:
    """A shop with events in each lane."""
    for _ in range(6):
        customer, product = system.new_customer(), system.new_product(stock=100)
        system.new_order(customer["customerId"], (product["productId"], 1))
    system.wait_projected()
    return system


def rebuilt(system: System, *argv: str) -> dict[str, Any]:
    done = system.cli("rebuild", *argv, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def plant_offset(system: System, topic: str, offset: int) -> None:
    topic = f"{system.settings.kafka_topic_prefix}{topic}"
    changed = {"$set": {"offsets.$.offset": offset}}
    done = system.mongo.checkpoints.update_one({"_id": 0, "offsets.topic": topic}, changed)
    assert done.modified_count == 1


def test_offsets_that_kafka_has_not_are_named_and_repaired(small: System) -> None:
    prefix = small.settings.kafka_topic_prefix
    assert run(small.settings).checked["kafka.offsets"] > 0
    for name in ("relay", "projector"):
        small.signal(name, signal.SIGKILL)
    for topic, wrong in (("CustomerCreated", 1_000), ("ProductCreated", -7)):
        plant_offset(small, topic, wrong)
    plant_offset(small, watermark_topic(small.settings).removeprefix(prefix), 10**9)
    planted = {
        ("checkpoints", 0, f"offsets.{prefix}{topic}")
        for topic in ("CustomerCreated", "ProductCreated", "storelog.watermarks")
    }
    assert named(run(small.settings)) == planted
    assert named(run(small.settings, repair=True)) == planted
    assert run(small.settings).differences == []
    for name in ("relay", "projector"):
        small.start(name)
        small.wait_ready(name)
    for customer in range(1, 7):
        small.new_order(customer, (1, 1))
    small.wait_projected()
    assert run(small.settings).differences == []


def test_an_offset_behind_an_event_that_is_not_projected_is_named(small: System) -> None:
    places = list(small.mongo.checkpoints.find({}))
    report = Report()

    async def compare(places: list[dict[str, Any]], settings: Settings) -> Offsets:
        connection = await asyncpg.connect(settings.postgres_url)
        found = Offsets(settings, report)
        await found.compare(places, connection)
        await connection.close()
        return found

    assert asyncio.run(compare(places, small.settings)).bad == {}
    # As if the checkpoint were from before its newest event, and the offsets were not.
    place = next(place for place in places if place["position"])
    place["position"] -= 1
    assert asyncio.run(compare(places, small.settings)).bad.keys() == {place["_id"]}
    assert {(d["id"], d["where"]) for d in report.differences} == {
        (place["_id"], "mongodb.checkpoints")
    }


def test_without_kafka_the_offsets_are_not_checked_and_that_is_said(
    small: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offsets_of_verify, "RESPONSE_SECONDS", 1.0)
    away = replace(small.settings, kafka_bootstrap_servers="127.0.0.1:1")
    report = run(away)
    assert report.differences == []
    assert "offsets" in report.facts()["notChecked"][0]


def test_a_damaged_pointer_is_named_and_repaired(small: System) -> None:
    done = rebuilt(small, "--promote")
    active, home = done["database"], done["previous"]
    small.wait_projected()
    assert run(small.settings).differences == []
    client = small.mongo.client
    pointers, places = client[home].read_models, client[active].checkpoints
    # Who follows the pointer would begin to fill whatever it names.
    small.signal("projector", signal.SIGKILL)
    damages: dict[tuple[str, Any, str], Callable[[], Any]] = {}

    def set_active(**fields: Any) -> Callable[[], Any]:
        return lambda: pointers.update_one({"_id": "active"}, {"$set": fields})

    damages["read_models", "active", "database"] = set_active(database=f"{home}_r77")
    damages["read_models", "active", "previous"] = set_active(previous=f"{home}_r78")
    damages["read_models", "active", "promoting"] = set_active(promoting=5)
    damages["read_models", "x", "document"] = lambda: pointers.insert_one({"_id": "x"})
    damages["read_models", "building", "number"] = lambda: pointers.update_one(
        {"_id": "building"}, {"$set": {"number": 0}}
    )
    damages["checkpoints", 1, "frozen"] = lambda: places.update_one(
        {"_id": 1}, {"$set": {"frozen": "a promotion that is over"}}
    )
    for place, damage in damages.items():
        damage()
        assert named(run(small.settings)) == {place}
        assert named(run(small.settings, repair=True)) == {place}
        assert run(small.settings).differences == [], place
        assert pointers.find_one({"_id": "active"})["database"] == active  # type: ignore[index]
    small.start("projector")
    small.wait_ready("projector")
    small.new_order(1, (1, 1))
    small.wait_projected()
    assert run(small.settings).differences == []


def test_a_rebuild_never_takes_the_name_of_a_read_model_in_use(small: System) -> None:
    done = rebuilt(small, "--promote")
    active, home = done["database"], done["previous"]
    small.mongo.client[home].read_models.delete_one({"_id": "building"})
    assert rebuilt(small)["database"] not in (active, home)
    wait_for(lambda: small.queries.get("/orders").status == 200, "responses")
    assert len(list(small.queries.pages("/orders"))) == 6
    assert run(small.settings).differences == []


def test_a_pointer_that_names_no_database_stops_nothing_for_good(small: System) -> None:
    pointers = small.mongo.read_models
    pointers.update_one({"_id": "active"}, {"$set": {"database": 5}}, upsert=True)
    wait_for(lambda: small.queries.get("/orders").status == 503, "a response that says so")
    small.signal("projector", signal.SIGKILL)
    small.start("projector")
    for command in (("migrate",), ("doctor",)):
        assert "`storelog verify --repair`" in small.cli(*command).stdout, command
    assert small.cli("status").returncode == 1
    placed = small.commands.post("/customers", {"name": "Ann", "email": "a@b"})
    assert placed.status == 201
    assert named(run(small.settings)) == {("read_models", "active", "database")}
    run(small.settings, repair=True)
    small.wait_ready("projector")
    small.wait_projected()
    assert run(small.settings).differences == []
    assert len(list(small.queries.pages("/customers"))) == 7
