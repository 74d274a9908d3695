"""Tickets for /live: in place of a key, on any Query Service, for a minute, until it is revoked."""

import json
import re
import time
from collections.abc import Iterator
from hashlib import sha256

import pytest

from storelog.client import Storelog
from storelog.setting_types import ApiKey
from storelog.web import tickets
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.live import LiveReader
from support.system import ANN, System, wait_for

READER = ApiKey("reader", "read", sha256(b"r").hexdigest())


@pytest.fixture(scope="module")
def keyed(servers: EmbeddedServers) -> Iterator[System]:
    """A system with the keys `r` (read) and `w` (write)."""
    keys = f"reader:read:{READER.sha256},writer:write:{sha256(b'w').hexdigest()}"
    with System(new_settings(servers), environment={"STORELOG_API_KEYS": keys}, key="w") as system:
        yield system


def ticket_of(url: str, key: str | None) -> str:
    reply = Client(url, key).send("POST", "/live/tickets", raw=b"")
    assert reply.status == 201, reply.raw
    assert reply.headers["cache-control"] == "no-store"
    assert reply.position >= 0
    text: str = reply.json["ticket"]
    return text


def test_any_query_service_takes_a_ticket_in_place_of_a_key(keyed: System) -> None:
    ticket = ticket_of(keyed.queries.url, "r")
    keys = {"STORELOG_API_KEYS": keyed.environment["STORELOG_API_KEYS"]}
    with System(keyed.settings, ("query-service",), keys) as other:
        for url in (keyed.queries.url, other.queries.url):
            assert gets_a_change(keyed, url, f"/live?topics=customers&ticket={ticket}")


def gets_a_change(keyed: System, url: str, path: str) -> bool:
    with LiveReader(url, path) as reader:
        wait_for(lambda: reader.last_id is not None, "the first heart-beat")
        made = keyed.commands.post("/customers", ANN)
        wait_for(lambda: reader.events, "a change")
        return reader.events[0][0] == made.position


def test_a_ticket_that_is_no_good_is_401_and_is_repeated_nowhere(keyed: System) -> None:
    good = ticket_of(keyed.queries.url, "r")
    old, _ = tickets.issue(READER, time.time() - tickets.GOOD_FOR_SECONDS - 1)
    other, _ = tickets.issue(ApiKey("reader", "read", sha256(b"x").hexdigest()), time.time())
    free, _ = tickets.issue(tickets.NO_KEY, time.time())
    later = re.sub(r"^\d{13}", lambda ms: str(int(ms[0]) + 60_000), good)
    named = good.replace(".reader", ".writer")
    for text in (old, other, free, later, named, good[:-1], "x", "", f"{good}%00"):
        with LiveReader(keyed.queries.url, f"/live?ticket={text}") as reader:
            refusal = reader.refusal
        assert (refusal.status, refusal.slug) == (401, "unauthenticated"), text
        assert refusal.json["instance"] == "/live"
    # It opens nothing else, and is no key.
    for path in (f"/orders?ticket={good}", f"/customers?ticket={good}"):
        assert keyed.queries.send("GET", path, headers={"Authorization": ""}).status == 401
    bearer = {"Authorization": f"Bearer {good}"}
    assert keyed.queries.get("/live", bearer).status == 401
    assert keyed.commands.get(f"/events?ticket={good}", {"Authorization": ""}).status == 401
    logs = "".join(keyed.log(name) for name in ("query-service", "command-service"))
    assert not [text for text in (good, old, other) if text.split(".")[1] in logs]


def test_only_a_caller_that_may_read_gets_a_ticket(keyed: System) -> None:
    assert Client(keyed.queries.url).send("POST", "/live/tickets").status == 401
    assert Client(keyed.queries.url, "x").send("POST", "/live/tickets").status == 401
    assert ticket_of(keyed.queries.url, "w").endswith(".writer")
    reply = Client(keyed.queries.url, "r").send("POST", "/live/tickets", {})
    assert (reply.status, reply.slug) == (400, "malformed-request")
    with Storelog(keyed.commands.url, keyed.queries.url, "r") as client:
        given = client.live_ticket()
        with LiveReader(keyed.queries.url, f"/live?ticket={given.ticket}") as reader:
            assert int(reader.said["storelog-position"]) >= given.position


def test_a_stream_that_a_ticket_has_opened_ends_when_the_key_is_revoked(keyed: System) -> None:
    made = keyed.cli("keys", "create", "shown", "--role", "read", "--json")
    key = json.loads(made.stdout)["key"]
    service = Client(keyed.queries.url, key)
    wait_for(lambda: service.get("/products").status == 200, "the key", 20)
    ticket = ticket_of(keyed.queries.url, key)
    with LiveReader(keyed.queries.url, f"/live?ticket={ticket}") as reader:
        wait_for(lambda: reader.last_id is not None, "the first heart-beat")
        assert keyed.cli("keys", "revoke", "shown").returncode == 0
        wait_for(lambda: reader.is_over, "the end", 20)
    with LiveReader(keyed.queries.url, f"/live?ticket={ticket}") as reader:
        assert reader.refusal.status == 401


def test_without_any_keys_tickets_work_as_well(shop: System) -> None:
    ticket = ticket_of(shop.queries.url, None)
    with LiveReader(shop.queries.url, f"/live?ticket={ticket}") as reader:
        wait_for(lambda: reader.last_id is not None, "the first heart-beat")
    with LiveReader(shop.queries.url, "/live?ticket=x") as reader:
        assert reader.refusal.status == 401


def changes(shop: System, path: str) -> list[tuple[int, str, str]]:
    with LiveReader(shop.queries.url, path) as reader:
        wait_for(lambda: len(reader.events) == 2, "the changes")
        return reader.events


def test_unnamed_events_are_the_same_changes_without_a_name(shop: System) -> None:
    after = shop.written()
    shop.new_product()
    shop.new_customer()
    found = [changes(shop, f"/live?after={after}&events={kind}") for kind in ("named", "unnamed")]
    named, unnamed = found
    assert [(number, "", data) for number, _, data in named] == unnamed
    assert [kind for _, kind, _ in named] == ["ProductCreated", "CustomerCreated"]
    reply = shop.queries.get("/live?events=all")
    assert (reply.status, reply.pointers) == (422, ["?events"])
