"""A read model that adds up, added by one folder and one line to a shop that goes on."""

import json
import signal
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from bson.int64 import Int64

from support.embedded import EmbeddedServers, new_settings
from support.other_release import NAME, SECOND_SHAPE, OtherRelease
from support.system import System, trade, wait_for

PATH = "/analytics/product-orders"
COMMAND = "storelog rebuild --promote"
LOOKS = (("migrate",), ("status",), ("doctor",), ("verify",))
Totals = dict[int, tuple[int, Decimal]]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> OtherRelease:
    return OtherRelease(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def upgraded(servers: EmbeddedServers, release: OtherRelease) -> Iterator[System]:
    """A shop with a history, which goes on with a release that has one more read model."""
    with System(new_settings(servers)) as system:
        trade(system)
        system.wait_projected()
        release.add_read_model()
        release.start(system)
        yield system


def expected(system: System) -> Totals:
    """Add up what was ordered of each product, from the orders as they are read."""
    found: Totals = {}
    for order in system.queries.pages("/orders"):
        for line in order["orderItems"]:
            lines, amount = found.get(line["productId"], (0, Decimal()))
            added = line["quantity"] * Decimal(line["price"])
            found[line["productId"]] = lines + 1, amount + added
    return found


def shown(system: System) -> Totals:
    items = system.queries.pages(PATH, limit=2)
    return {each["productId"]: (each["lines"], Decimal(each["amount"])) for each in items}


def verified(system: System, *more: str) -> dict[str, Any]:
    done = system.cli("verify", "--json", *more)
    assert done.returncode in (0, 1), done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def rebuild(system: System) -> None:
    done = system.cli("rebuild", "--promote")
    assert done.returncode == 0, done.stdout + done.stderr


def test_until_it_is_filled_it_is_503_and_each_look_names_the_command_that_fills_it(
    upgraded: System,
) -> None:
    upgraded.new_order(1, (1, 2))
    upgraded.wait_projected()
    reply = upgraded.queries.get(PATH)
    assert (reply.status, COMMAND in reply.json["detail"]) == (503, True), reply.raw
    assert upgraded.mongo[NAME].find_one({}) is None
    for command in LOOKS:
        said = upgraded.cli(*command)
        assert COMMAND in said.stdout, (command, said.stdout, said.stderr)
    told = verified(upgraded)
    assert {(each["where"], each["id"]) for each in told["differences"]} == {
        ("mongodb.shapes", NAME),
        ("mongodb.shapes", "order_notes"),
    }
    assert upgraded.queries.get("/notes/1").status == 503


def test_it_is_filled_from_the_log_before_it_responds(upgraded: System) -> None:
    rebuild(upgraded)
    totals = expected(upgraded)
    assert totals
    wait_for(lambda: upgraded.queries.get(PATH).status == 200, "the promotion")
    assert shown(upgraded) == totals
    # Ordered by customers of two lanes.
    lanes = {document["lane"] for document in upgraded.mongo[NAME].find({"key": 3})}
    assert len(lanes) > 1
    checked = verified(upgraded)["checked"]
    assert checked[f"mongodb.{NAME}"] > 0
    assert checked["mongodb.order_notes"] == checked["mongodb.orders"]
    assert upgraded.queries.get("/notes/2").json == {"lines": 2, "units": None}
    for command in LOOKS:
        assert COMMAND not in upgraded.cli(*command).stdout, command


def test_an_event_is_in_a_sum_once_although_projectors_are_killed(upgraded: System) -> None:
    for turn in range(3):
        for number in range(12):
            upgraded.new_order(1 + 2 * (number % 2), (1, 1), (3, 2), (1, 1))
            if number == 4 * turn:
                upgraded.signal("projector", signal.SIGKILL)
                upgraded.start("projector")
        upgraded.wait_ready("projector")
    (newest,) = upgraded.queries.get("/orders?limit=1").json["items"]
    upgraded.commands.delete(f"/orders/{newest['orderId']}")
    upgraded.wait_projected()
    assert shown(upgraded) == expected(upgraded)
    assert verified(upgraded)["differences"] == []


def test_as_it_was_cannot_be_shown_where_nothing_says_how(upgraded: System) -> None:
    reply = upgraded.queries.get(f"{PATH}?asOf=1")
    assert reply.status == 422
    assert "?asOf" in reply.raw.decode()


def test_verify_names_what_is_wrong_in_it_and_repairs_it(upgraded: System) -> None:
    totals = upgraded.mongo[NAME]
    altered, deleted = list(totals.find({}).limit(2))
    totals.update_one({"_id": altered["_id"]}, {"$inc": {"lines": Int64(1)}})
    totals.delete_one({"_id": deleted["_id"]})
    totals.insert_one({**altered, "_id": "0/999", "key": Int64(999)})
    upgraded.mongo["order_notes"].update_one({"_id": 2}, {"$set": {"lines": 7}})
    told = verified(upgraded)
    assert {each["id"] for each in told["differences"]} == {
        altered["_id"],
        deleted["_id"],
        "0/999",
        2,
    }
    verified(upgraded, "--repair")
    assert verified(upgraded)["differences"] == []
    assert shown(upgraded) == expected(upgraded)


def test_with_another_shape_the_old_one_goes_on_serving_until_it_is_rebuilt(
    upgraded: System, release: OtherRelease
) -> None:
    release.change(f"read_models/{NAME}/model.py", *SECOND_SHAPE)
    release.start(upgraded)
    upgraded.new_order(1, (3, 4))
    upgraded.wait_projected()
    assert shown(upgraded) == expected(upgraded)
    items = upgraded.queries.get(PATH).json["items"]
    assert [each["units"] for each in items] == [None] * len(items)
    assert upgraded.queries.get("/notes/2").json == {"lines": 2, "units": 0}
    for command in LOOKS:
        assert COMMAND in upgraded.cli(*command).stdout, command
    told = verified(upgraded, "--repair")
    assert {each["id"] for each in told["differences"]} == {NAME, "order_notes"}
    assert "order_notes" in told["notChecked"][0]
    rebuild(upgraded)
    wait_for(lambda: upgraded.queries.get(PATH).json["items"][0]["units"], "the promotion")
    for each in upgraded.queries.get(PATH).json["items"]:
        assert each["units"] >= each["lines"]
    assert shown(upgraded) == expected(upgraded)
    assert verified(upgraded)["differences"] == []
