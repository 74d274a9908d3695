"""Dead letters: each kind of poison, what waits behind it, and how it is settled."""

import json
from dataclasses import replace
from typing import Any

import pytest

from storelog.config import Settings
from storelog.event_codec import kafka_value
from storelog.kafka import MAX_RECORD_BYTES
from support.console import Browser, moved_to
from support.http import Client
from support.kafka import HostileRelay, Outgoing
from support.poison import Poison, PoisonRelay
from support.projected import verified
from support.system import System, trade, wait_for

DEAD_LETTER_SECONDS = 5.0


def changed(outgoing: Outgoing, **fields: Any) -> bytes:
    """Return the event's value with other fields in its payload; None: left out."""
    payload = json.loads(outgoing.event.payload) | fields
    left = {name: value for name, value in payload.items() if value is not None}
    return kafka_value(outgoing.event.event_type, json.dumps(left).encode())


def poisons(good: Outgoing) -> dict[str, Poison]:
    """Return every kind of poison: the cause's words, and the record (value, key, headers)."""
    key = good.event.aggregate.encode()
    value = kafka_value(good.event.event_type, good.event.payload)
    return {
        "not an event": (b"not json", key, {}),
        "came on the topic": (kafka_value("OrderEaten", good.event.payload), key, {}),
        "unknown schema version 9": (value, key, {"schema_version": b"9"}),
        "missing required field `totalPrice`": (changed(good, totalPrice=None), key, {}),
        "Expected `int`": (changed(good, customerId="1"), key, {}),
        "not a number": (changed(good, totalPrice="NaN"), key, {}),
        "no value": (None, key, {}),
        "the key is 'product-1'": (value, b"product-1", {}),
        "more than the": (b" " * (MAX_RECORD_BYTES + 1), key, {}),
    }


def listed(system: System) -> dict[int, Any]:
    done = system.cli("dead-letters", "list", "--json")
    assert done.returncode == 0, done.stderr
    return {item["position"]: item for item in json.loads(done.stdout)["items"]}


def check_others(system: System, relay: HostileRelay, poisoned: set[str]) -> None:
    """Check that all but what is poisoned is in the read model up to its last event."""
    newest = {o.event.aggregate: o.event for o in relay.outgoing}
    others = newest.keys() - poisoned
    assert {"customer", "order", "product"} == {name.partition("-")[0] for name in others}
    for name in others:
        event = newest[name]
        found = system.mongo[f"{event.aggregate_type}s"].find_one({"_id": event.aggregate_id})
        assert found is not None, name
        assert found["version"] == event.version, name
    for name in poisoned:
        assert system.mongo.orders.find_one({"_id": newest[name].aggregate_id}) is None, name


@pytest.fixture
def poisoned(traded: System) -> tuple[System, PoisonRelay, dict[int, str]]:
    """A log whose first orders are poison in Kafka, one of each kind."""
    relay = PoisonRelay(traded)
    created = [o for o in relay.outgoing if o.event.event_type == "OrderCreated"]
    kinds = poisons(created[0])
    poison, causes = {}, {}
    for outgoing, cause in zip(created, kinds, strict=False):
        poison[outgoing.event.position] = poisons(outgoing)[cause]
        causes[outgoing.event.position] = cause
    relay.send_with(poison)
    traded.wait_projected()
    return traded, relay, causes


@pytest.mark.alone
def test_each_kind_of_poison_is_a_dead_letter_and_is_replayed_from_the_log(
    poisoned: tuple[System, PoisonRelay, dict[int, str]],
) -> None:
    system, relay, causes = poisoned
    found = listed(system)
    assert found.keys() == causes.keys()
    assert relay.seconds.keys() == causes.keys()
    assert max(relay.seconds.values()) <= DEAD_LETTER_SECONDS, (relay.seconds, causes)
    check_others(system, relay, {item["aggregate"] for item in found.values()})
    deleted = {o.event.aggregate for o in relay.outgoing if o.event.event_type == "OrderDeleted"}
    for position, cause in causes.items():
        item = found[position]
        assert cause in item["cause"]
        assert item["state"] == "parked"
        # Only the order itself waits: its deletion, where there is one.
        assert item["waiting"] == (1 if item["aggregate"] in deleted else 0)
    letter = next(iter(causes))
    shown = system.cli("dead-letters", "show", str(letter), "--json")
    assert json.loads(shown.stdout)["value"] == "not json"
    lag = json.loads(system.cli("lag", "--json").stdout)
    assert (lag["events_behind"], lag["dead_letters"]) == (0, len(causes) + 2)
    verified(system)
    done = system.cli("dead-letters", "retry", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(map(int, json.loads(done.stdout)["settled"])) == sorted(causes)
    assert listed(system) == {}
    wait_for(lambda: json.loads(system.cli("lag", "--json").stdout)["dead_letters"] == 0, "none")
    verified(system)


def test_an_event_that_is_replayed_late_is_added_once(
    poisoned: tuple[System, PoisonRelay, dict[int, str]],
) -> None:
    system, _, causes = poisoned
    first = str(next(iter(causes)))
    assert system.cli("dead-letters", "retry", first).returncode == 0
    # A crash after the writes and before the letter was gone would replay it.
    letter = system.mongo.dead_letters.find_one({"state": "parked"})
    assert letter is not None
    assert system.cli("dead-letters", "retry", letter["_id"]).returncode == 0
    figures = system.queries.get("/analytics/total-sales").json
    system.mongo.dead_letters.insert_one(letter)
    assert system.cli("dead-letters", "retry", letter["_id"]).returncode == 0
    assert system.queries.get("/analytics/total-sales").json == figures
    verified(system)


def test_a_discarded_event_is_left_out_and_what_waited_goes_on(traded: System) -> None:
    relay = PoisonRelay(traded)
    sales = [o for o in relay.outgoing if o.event.event_type == "ProductSold"]
    victim = sales[0].event
    behind = sum(
        o.event.aggregate == victim.aggregate and o.event.position > victim.position
        for o in relay.outgoing
    )
    relay.send_with({victim.position: (None, victim.aggregate.encode(), {})})
    relay.send_rubbish("OrderCreated", b"rubbish")
    relay.flush()
    traded.wait_projected()
    wait_for(lambda: len(listed(traded)) == 2, "both dead letters")
    found = listed(traded)
    assert found[victim.position]["waiting"] == behind
    foreign = found[None]["id"]  # type: ignore[index]
    assert traded.cli("dead-letters", "retry", foreign).returncode == 2
    assert traded.cli("dead-letters", "discard", foreign).returncode == 0
    assert traded.cli("dead-letters", "discard", str(victim.position)).returncode == 0
    assert listed(traded) == {}
    product = traded.mongo.products.find_one({"_id": victim.aggregate_id})
    last = max(
        (o.event for o in relay.outgoing if o.event.aggregate == victim.aggregate),
        key=lambda event: event.version,
    )
    assert product is not None
    assert product["version"] == last.version
    verified(traded)
    assert traded.cli("dead-letters", "show", "1").returncode == 1
    assert traded.cli("dead-letters", "discard", "1").returncode == 1


def test_a_record_sent_again_from_the_log_fills_a_gap(traded: System) -> None:
    # The relay's row says that all was sent; Kafka lacks one record.
    relay = HostileRelay(traded.settings)
    missing = relay.outgoing[len(relay.outgoing) // 2]
    relay.send_shuffled(11, leave_out=missing.event.position)
    relay.announce()
    last, lanes = relay.outgoing[-1].event.position, [*relay._last]
    traded.sql("UPDATE relay_cursor SET position = $1, lanes = $2 RETURNING 1", last, lanes)
    wait_for(
        lambda: traded.mongo.checkpoints.find_one({"position": missing.lane_previous}), "the gap"
    )
    place = str(missing.event.position)
    assert traded.cli("resend", "--from", place, "--to", str(last + 1)).returncode == 2
    done = traded.cli("resend", "--from", place, "--to", place, "--json")
    assert json.loads(done.stdout) == {"first": int(place), "last": int(place), "events": 1}
    traded.wait_projected()
    assert json.loads(traded.cli("resend", "--from", "1", "--json").stdout)["events"] == last
    verified(traded)


def test_dead_letters_are_shown_retried_and_discarded_over_http(
    poisoned: tuple[System, PoisonRelay, dict[int, str]],
) -> None:
    system, _, causes = poisoned
    projector = Client(system.url("projector"))
    found = projector.get("/dead-letters").json
    assert {item["position"] for item in found["items"]} == causes.keys()
    assert found["found"] == len(causes)
    first, second, *others = sorted(map(str, causes), key=int)
    one = projector.get(f"/dead-letters/one?id={first}").json
    assert causes[int(first)] in one["cause"]
    retried = projector.post("/dead-letters/retries", {"ids": [first]})
    assert (retried.status, retried.json) == (200, {"settled": [first], "stillDead": {}})
    again = projector.post("/dead-letters/retries", {"ids": [first]})
    assert (again.status, again.slug) == (404, "not-found")
    for _ in range(2):
        discarded = projector.post("/dead-letters/discards", {"id": second})
        assert (discarded.status, discarded.json["settled"]) == (200, [second])
    all_others = projector.post("/dead-letters/retries", {"ids": []}).json
    assert sorted(all_others["settled"], key=int) == others
    verified(system)


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        ("retries", {"ids": "5"}, ["/ids"]),
        ("retries", {"ids": [5]}, ["/ids"]),
        ("retries", {"ids": [], "all": True}, ["/all"]),
        ("retries", {}, ["/ids"]),
        ("discards", {"id": ""}, ["/id"]),
        ("discards", {"id": None}, ["/id"]),
        ("discards", [], [""]),
    ],
)
def test_a_request_about_dead_letters_that_is_wrong_names_its_member(
    shop: System, path: str, body: Any, pointers: list[str]
) -> None:
    reply = Client(shop.url("projector")).post(f"/dead-letters/{path}", body)
    assert (reply.status, reply.pointers) == (422, pointers)


def test_a_dead_letter_is_retried_and_another_discarded_in_the_console(settings: Settings) -> None:
    system = System(settings, ("command-service", "projector", "query-service"))
    system.settings = replace(system.settings, projector_url=system.url("projector"))
    with system:
        trade(system)
        relay = PoisonRelay(system)
        created = [o for o in relay.outgoing if o.event.event_type == "OrderCreated"][:2]
        relay.send_with({o.event.position: poisons(o)["not an event"] for o in created})
        system.wait_projected()
        first, second = (str(outgoing.event.position) for outgoing in created)
        browser = Browser(system)
        assert all(f">{each}</a>" in browser.page("/operations") for each in (first, second))
        assert "not an event" in browser.page(f"/operations/dead-letter?id={first}")
        assert moved_to(browser.submit("/operations/retry", {"id": first})) == "/operations"
        fields = {"id": second, "confirmation": ""}
        assert browser.submit("/operations/discard", fields).status == 422
        fields["confirmation"] = second
        assert moved_to(browser.submit("/operations/discard", fields)) == "/operations"
        assert "None: the read model has every event" in browser.page("/operations")
        verified(system)
