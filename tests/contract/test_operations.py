"""What operators ask over HTTP: keys, one event of the chain, the log by what it says, health."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from storelog import __version__
from storelog.client import Problem, Storelog
from storelog.local.servers import PROCESSES
from support.embedded import EmbeddedServers, new_settings
from support.http import Client
from support.system import ANN, CAKE_STAND, System, wait_for


@pytest.fixture(scope="module")
def kept(servers: EmbeddedServers) -> Iterator[System]:
    """A Command Service with a key of its settings for each role."""
    keys = ",".join(f"{r}-er:{r}:{sha256(r.encode()).hexdigest()}" for r in ("read", "admin"))
    environment = {"STORELOG_API_KEYS": keys}
    settings = new_settings(servers)
    with System(settings, ("command-service",), environment, key="admin") as system:
        yield system


def test_a_created_key_is_shown_once_works_and_is_listed_without_its_text(kept: System) -> None:
    made = kept.commands.post("/keys", {"name": "till", "role": "write", "expiresAt": None})
    assert made.status == 201, made.raw
    assert made.headers["cache-control"] == "no-store"
    assert made.json.keys() == {"name", "role", "expiresAt", "key", "isFirst"}
    assert (made.json["name"], made.json["role"], made.json["isFirst"]) == ("till", "write", True)
    till = Client(kept.commands.url, made.json["key"])
    wait_for(lambda: till.post("/customers", ANN).status == 201, "the key to work", 10)
    listed = kept.commands.get("/keys")
    assert made.json["key"].encode() not in listed.raw
    (shown,) = [key for key in listed.json["items"] if key["name"] == "till"]
    assert (shown["role"], shown["state"], shown["revokedAt"]) == ("write", "valid", None)


def test_a_name_means_one_key_for_ever(kept: System) -> None:
    body = {"name": "once", "role": "read"}
    assert kept.commands.post("/keys", body).status == 201
    again = kept.commands.post("/keys", body)
    assert (again.status, again.slug) == (409, "key-name-taken")
    of_settings = kept.commands.post("/keys", {"name": "read-er", "role": "read"})
    assert of_settings.slug == "key-name-taken"


def test_a_revoked_key_is_rejected_and_to_revoke_it_again_changes_nothing(kept: System) -> None:
    text = kept.commands.post("/keys", {"name": "gone", "role": "read"}).json["key"]
    reader = Client(kept.commands.url, text)
    wait_for(lambda: reader.get("/events").status == 200, "the key to work", 10)
    revoked = kept.commands.post("/keys/revocations", {"name": "gone"})
    assert (revoked.status, revoked.json["state"]) == (200, "revoked")
    wait_for(lambda: reader.get("/events").status == 401, "the key to be refused", 10)
    assert kept.commands.post("/keys/revocations", {"name": "gone"}).json == revoked.json
    unknown = kept.commands.post("/keys/revocations", {"name": "nobody"})
    assert (unknown.status, unknown.slug) == (404, "not-found")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"name": "", "role": "boss"}, ["/name", "/role"]),
        ({"name": "a b", "role": "read"}, ["/name"]),
        ({"name": 5, "role": ["read"]}, ["/name", "/role"]),
        ({"name": "a", "role": "read", "expiresAt": "soon"}, ["/expiresAt"]),
        ({"name": "a", "role": "read", "expiresAt": "2020-01-01T00:00:00Z"}, ["/expiresAt"]),
        ({"name": "a", "role": "read", "expiresAt": 5}, ["/expiresAt"]),
        ({"name": "a", "role": "read", "key": "mine"}, ["/key"]),
        ({"name": "a", "role": "read", "a/~b": 1}, ["/a~1~0b"]),
        ([], [""]),
    ],
)
def test_what_is_no_key_names_each_wrong_member_and_creates_nothing(
    kept: System, body: object, pointers: list[str]
) -> None:
    before = kept.commands.get("/keys").raw
    reply = kept.commands.post("/keys", body)
    assert (reply.status, reply.pointers) == (422, pointers)
    assert kept.commands.get("/keys").raw == before


def test_an_event_is_shown_with_its_place_in_the_chain(shop: System) -> None:
    first = shop.commands.post("/customers", ANN).position
    second = shop.commands.post("/products", CAKE_STAND).position
    assert second == first + 1
    before, after = (shop.commands.get(f"/events/{at}") for at in (first, second))
    assert before.status == after.status == 200
    assert before.json["isHashValid"] and after.json["isHashValid"]
    assert after.json["previousHash"] == before.json["hash"] == after.json["previous"]["hash"]
    assert before.json["next"]["position"] == second
    (row,) = shop.sql("SELECT hash, payload_hash FROM events WHERE position = $1", second)
    assert after.json["hash"] == row["hash"].hex()
    assert after.json["payloadHash"] == row["payload_hash"].hex()
    in_page = shop.commands.get(f"/events?after={first}&limit=1").json["items"][0]
    assert in_page.items() <= after.json.items()


def test_the_first_event_has_none_before_it_and_beyond_the_last_is_404(shop: System) -> None:
    shop.new_customer()
    first = shop.commands.get("/events/1").json
    assert first["previous"] is None
    assert first["previousHash"] == "0" * 64
    beyond = shop.commands.get(f"/events/{2**63 - 1}")
    assert (beyond.status, beyond.slug) == (404, "not-found")


def test_events_are_found_by_type_caller_correlation_and_event_id(shop: System) -> None:
    made = shop.commands.post("/products", CAKE_STAND, {"X-Correlation-Id": "found-me"})
    name = f"product-{made.json['productId']}"
    by_request = shop.commands.get("/events?correlationId=found-me").json["items"]
    assert [event["position"] for event in by_request] == [made.position]
    event_id = by_request[0]["eventId"]
    assert shop.commands.get(f"/events?eventId={event_id}").json["items"] == by_request
    mixed = f"/events?aggregate={name}&eventType=ProductCreated&after={made.position - 1}"
    assert shop.commands.get(mixed).json["items"] == by_request
    assert shop.commands.get(f"{mixed}&caller=nobody").json["items"] == []
    assert shop.commands.get(f"/events?aggregate={name}&eventType=ProductSold").json["items"] == []


def test_the_newest_events_come_first_and_pages_go_back_to_the_beginning(shop: System) -> None:
    for _ in range(3):
        shop.new_customer()
    head = shop.written()
    everything = shop.commands.get(f"/events?before={2**63 - 1}&limit=1000").json
    assert [e["position"] for e in everything["items"]] == list(range(head, 0, -1))[:1000]
    seen: list[int] = []
    before: int | None = head + 1
    while before is not None:
        page = shop.commands.get(f"/events?before={before}&limit=7").json
        assert page["nextAfter"] is None
        seen += [event["position"] for event in page["items"]]
        before = page["nextBefore"]
    assert seen == list(range(head, 0, -1))
    between = shop.commands.get(f"/events?before={head}&after={head - 3}").json
    assert [event["position"] for event in between["items"]] == [head - 1, head - 2]
    assert between["nextBefore"] is None


def test_the_newest_events_of_one_aggregate_come_first_below_and_above_positions(
    shop: System,
) -> None:
    number = shop.new_product()["productId"]
    path, name = f"/products/{number}", f"product-{number}"
    made = shop.written()
    positions = [made]
    for price in ("2", "3", "4", "5"):
        shop.new_customer()
        positions.append(shop.commands.put(path, {"name": "Lamp", "price": price}).position)
    positions.reverse()

    def found(query: str) -> tuple[list[int], int | None]:
        page = shop.commands.get(f"/events?aggregate={name}&{query}").json
        return [event["position"] for event in page["items"]], page["nextBefore"]

    assert found(f"before={2**63 - 1}") == (positions, None)
    assert found(f"before={positions[0]}") == (positions[1:], None)
    assert found(f"before={positions[0] - 1}&limit=2") == (positions[1:3], positions[2])
    assert found(f"before={positions[2]}&limit=2") == (positions[3:], None)
    assert found(f"before={positions[0]}&after={positions[3]}") == (positions[1:3], None)
    assert found(f"before={made}") == ([], None)


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("eventType=OrderEaten", ["?eventType"]),
        ("eventId=5", ["?eventId"]),
        ("caller=", ["?caller"]),
        ("correlationId=" + "x" * 201, ["?correlationId"]),
        ("before=0", ["?before"]),
        ("eventId=0b0e6d3e5a544c0a9d3f6a1b2c3d4e5f", ["?eventId"]),
    ],
)
def test_an_invalid_query_of_the_log_names_its_parameter(
    shop: System, query: str, pointers: list[str]
) -> None:
    reply = shop.commands.get(f"/events?{query}")
    assert (reply.status, reply.pointers) == (422, pointers)


def test_both_services_say_how_their_side_is(shop: System) -> None:
    shop.new_customer()
    shop.wait_projected()
    written = shop.commands.get("/operations").json
    assert written["version"] == __version__
    assert written["log"]["position"] == shop.written()
    assert written["postgresql"]["bytes"] > 0
    assert {"events", "orders"} <= {table["name"] for table in written["postgresql"]["tables"]}
    shown = shop.queries.get("/operations").json
    assert len(shown["lanes"]) == len(written["relay"]["lanes"])
    assert min(lane["safePosition"] for lane in shown["lanes"]) == shown["position"]
    processes = {process["name"]: process for process in shown["processes"]}
    assert list(processes) == list(PROCESSES)
    assert processes["command-service"]["state"] == "ready"
    assert processes["command-service"]["facts"]["position"] == written["log"]["position"]
    # No setting of the tests says where the relay of this shop listens.
    assert processes["relay"]["state"] in ("away", "unknown")
    assert processes["relay"]["detail"]


def test_the_client_does_what_operators_need(kept: System) -> None:
    settings = kept.settings
    with Storelog(settings.command_url, settings.query_url, "admin") as client:
        made = client.create_key("robot", "read")
        assert made.key.startswith("slk_")
        assert client.revoke_key("robot").state == "revoked"
        assert "robot" in {key.name for key in client.list_keys()}
        client.create_customer("Ann", "a@b")
        page = client.find_events(before=2**62, caller="admin-er", limit=1)
        event = client.get_event(page.items[0].position)
        assert event.caller == "admin-er" and event.is_hash_valid
        assert client.write_side()["log"]["position"] == event.position
        with pytest.raises(Problem, match="key-name-taken"):
            client.create_key("robot", "read")


def test_verify_and_a_rebuild_record_what_they_found(shop: System, tmp_path: Path) -> None:
    shop.new_customer()
    shop.wait_projected()
    done = shop.cli("verify", "--json", "--anchor", str(tmp_path / "anchors"))
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    results = {each["operation"]: each for each in shop.commands.get("/operations").json["results"]}
    for operation in ("verify", "anchor"):
        assert results[operation]["position"] == found["position"]
        assert results[operation]["differences"] == 0
        assert results[operation]["version"] == __version__
        assert results[operation]["facts"]["checked"] == found["checked"]
    rebuilt = shop.cli("rebuild", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    results = {each["operation"]: each for each in shop.commands.get("/operations").json["results"]}
    assert results["rebuild"]["facts"]["database"] == json.loads(rebuilt.stdout)["database"]


def test_a_result_that_cannot_be_recorded_is_logged_and_changes_no_outcome(system: System) -> None:
    system.new_customer()
    system.wait_projected()
    system.sql("DROP TABLE operation_results")
    done = system.cli("verify", "--json")
    assert done.returncode == 0, done.stderr
    assert "not recorded" in done.stderr
    assert json.loads(done.stdout)["differences"] == []
