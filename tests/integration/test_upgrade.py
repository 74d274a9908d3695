"""A shop that the code at commit 4b21a24 wrote goes on with the code of today, nothing made again.

When it was stopped, five events were on Kafka and not projected, five more not sent; its orders of
the years 1 and 9999, e-mail addresses and phone numbers would not be accepted today.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from storelog.local.servers import PROCESSES
from support.embedded import EmbeddedServers, bare_settings
from support.older_shop import PROJECTED, WRITTEN, lines_of, load
from support.system import System

# What an upgrade leaves to two documented commands: words are as the older release indexed them,
# and its driver wrote one date as -infinity.
WORDS = {"mongodb.shapes", "mongodb.customer_names", "mongodb.product_names"}
DATE = ("postgresql.orders", 5, "order_date", "0001-01-01T00:00:00.000Z", "-infinity")


@pytest.fixture(scope="module")
def upgraded(servers: EmbeddedServers) -> Iterator[System]:
    settings = bare_settings(servers)
    load(settings)
    with System(settings, ()) as system:
        migrated = system.cli("migrate")
        assert migrated.returncode == 0, migrated.stderr
        assert "storelog rebuild --promote" in migrated.stdout + migrated.stderr
        for name in PROCESSES:
            system.start(name)
        for name in PROCESSES:
            system.wait_ready(name)
        yield system


def differences(system: System) -> list[tuple[Any, ...]]:
    """Return what `verify` finds: where, of what, which field, what it expected and found."""
    system.wait_projected()
    verified = system.cli("verify", "--json")
    assert verified.returncode in (0, 1), verified.stderr
    found = json.loads(verified.stdout.splitlines()[-1])["differences"]
    return [tuple(each.values()) for each in found]


def with_newer_fields(body: Any) -> Any:
    """Return a body of the older release with what bodies have since: a product without a sku."""
    if isinstance(body, list):
        return [with_newer_fields(each) for each in body]
    if not isinstance(body, dict):
        return body
    newer = {"sku": None} if {"productId", "price", "stock"} <= body.keys() else {}
    return {name: with_newer_fields(value) for name, value in body.items()} | newer


def assert_it_reads_as_it_did(system: System) -> None:
    """Compare responses as of a position with those of the older Query Service."""
    for line in map(json.loads, lines_of("responses.jsonl")):
        reply = system.queries.get(line["path"])
        assert reply.status == line["status"], line["path"]
        if "body" in line:
            assert reply.json == with_newer_fields(line["body"]), line["path"]


def test_an_upgrade_names_the_commands_that_it_needs(upgraded: System) -> None:
    said = upgraded.cli("migrate").stdout
    assert "`storelog rebuild --promote`" in said
    assert "`storelog rebuild --state-tables`" in said
    for command in ("status", "doctor", "verify"):
        assert "`storelog rebuild --promote`" in upgraded.cli(command).stdout, command


def test_what_was_sent_and_what_was_not_is_projected_once_and_nothing_else_differs(
    upgraded: System,
) -> None:
    upgraded.wait_projected(WRITTEN)
    assert [each for each in differences(upgraded) if each[0] not in WORDS] == [DATE]
    after = f"/events?after={PROJECTED}"
    kinds = [event["eventType"] for event in upgraded.commands.get(after).json["items"]]
    assert len(kinds) == WRITTEN - PROJECTED
    customer = upgraded.queries.get("/customers/2").json
    assert (customer["name"], customer["phoneNumber"]) == ("Søren Ødegaard", "12 34")
    assert upgraded.queries.get("/orders/4").status == 404
    assert upgraded.queries.get("/products/4").json["price"] == "2.70"


def test_a_past_moment_reads_as_it_did_before_the_upgrade(upgraded: System) -> None:
    assert_it_reads_as_it_did(upgraded)


def test_a_response_that_was_remembered_is_replayed_after_the_upgrade(upgraded: System) -> None:
    ann = {"name": "Ann Miller", "email": "ann@example.com", "phoneNumber": "+44 20 7946 09"}
    reply = upgraded.commands.post("/customers", ann, {"Idempotency-Key": "made-ann"})
    assert (reply.status, reply.headers["idempotency-replayed"]) == (201, "true")
    assert reply.json == {**ann, "customerId": 1}


def test_new_commands_go_on_from_older_events(upgraded: System) -> None:
    before = upgraded.queries.get("/products/1").json["stock"]
    order = upgraded.new_order(1, (1, 2))
    assert order["orderId"] > 16
    upgraded.wait_projected()
    assert upgraded.queries.get(f"/orders/{order['orderId']}").json["customerId"] == 1
    assert upgraded.queries.get("/products/1").json["stock"] == before - 2
    # Orders of the first and the last moment, and a customer whose e-mail is none today.
    for path in ("/orders/5", "/orders/6", "/customers/3"):
        assert upgraded.commands.delete(path).status == 204
    assert [each for each in differences(upgraded) if each[0] not in WORDS] == []


def test_the_documented_commands_leave_no_difference(upgraded: System) -> None:
    assert upgraded.cli("rebuild", "--state-tables").returncode == 0
    for source in ("kafka", "log"):
        rebuilt = upgraded.cli("rebuild", "--from", source, "--promote")
        assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
        assert differences(upgraded) == []
        assert_it_reads_as_it_did(upgraded)
    assert "rebuild" not in upgraded.cli("migrate").stdout
    found = upgraded.queries.get("/customers?q=odegaard").json["items"]
    assert [customer["customerId"] for customer in found] == [2]
